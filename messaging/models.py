"""Define the tables, without any rules.

The store writes the tables of messages, and the admin writes others. The message tables are shaped
to be partitioned by month on the snowflake id: the id is in every unique key of `message`, and no
foreign key points at a message or from one. Times of messages are milliseconds since 1970.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models

from messaging.conf import MAX_CONTENT_CODE_POINTS, MAX_URL_CHARACTERS
from messaging.database.fields import AsciiText, BoundedText, ExactText
from messaging.domain.events import ChatType, MsgType, PersistStatus, Status
from messaging.domain.names import LONGEST_FOLDED
from messaging.limits import MAX_GROUP_NAME_CHARACTERS
from messaging.ports.store import DeadLetter as Letter
from messaging.ports.store import DeadLetterState
from messaging.validators import validate_group_name

CONVERSATION_ID_LENGTH = 64
CLIENT_MSG_ID_LENGTH = 64
BODY_HASH_LENGTH = 32
AT_USER_IDS_LENGTH = 2_048  # 100 ids of 19 digits, as JSON
DEAD_LETTER_REASON_LENGTH = 64
SESSION_ID_LENGTH = 64
DEAD_LETTER_ERROR_LENGTH = 2_000


class Message(models.Model):
    """Hold one message; a recalled message keeps its row, place and `seq`, without its content."""

    id = models.BigIntegerField("message id", primary_key=True)
    conversation_id = AsciiText("conversation", max_length=CONVERSATION_ID_LENGTH)
    seq = models.BigIntegerField("sequence number", help_text="Gap-free within a conversation.")
    from_user_id = models.BigIntegerField("sender")
    to_id = models.BigIntegerField("receiver", help_text="A user, or a group in a group chat.")
    chat_type = models.PositiveSmallIntegerField(
        "chat type", choices=[(ChatType.PRIVATE.value, "private"), (ChatType.GROUP.value, "group")]
    )
    msg_type = models.PositiveSmallIntegerField(
        "message type", choices=[(kind.value, kind.name.lower()) for kind in MsgType]
    )
    content = BoundedText(max_length=MAX_CONTENT_CODE_POINTS, blank=True)
    url = BoundedText("address", max_length=MAX_URL_CHARACTERS, null=True, blank=True)
    at_user_ids = AsciiText("mentioned users", max_length=AT_USER_IDS_LENGTH, default="[]")
    client_msg_id = ExactText(
        "client message id", max_length=CLIENT_MSG_ID_LENGTH, null=True, blank=True
    )
    body_hash = AsciiText(max_length=BODY_HASH_LENGTH)
    status = models.PositiveSmallIntegerField(
        default=Status.NORMAL.value, choices=[(status.value, status.name) for status in Status]
    )
    send_time = models.BigIntegerField(help_text="Milliseconds since 1970.")
    recall_time = models.BigIntegerField(
        null=True, blank=True, help_text="Milliseconds since 1970."
    )
    persist_status = AsciiText(
        max_length=9,
        default=PersistStatus.PERSISTED.value,
        choices=[(status.value, status.value) for status in PersistStatus],
    )

    class Meta:
        db_table = "message"
        default_permissions = ("view",)  # messages are written by the store alone
        indexes = (
            models.Index(fields=["conversation_id", "id"], name="message_conversation_id"),
            models.Index(fields=["conversation_id", "seq"], name="message_conversation_seq"),
            models.Index(fields=["persist_status", "send_time"], name="message_persist_send_time"),
            models.Index(fields=["from_user_id", "id"], name="message_sender_id"),
        )

    def __str__(self) -> str:
        return f"message {self.id} in {self.conversation_id}"


class PendingMessage(Message):
    """Name a pending message in the admin: only Redis and the log hold the message yet.

    A pending message has no row.
    """

    class Meta:
        proxy = True
        default_permissions = ("view", "change")  # change: persist it now
        verbose_name = "pending message"

    def __str__(self) -> str:
        return f"pending message {self.id}"


class MessageKey(models.Model):
    """Decide which message a sender's clientMsgId and body stand for; this table is authoritative.

    The body's hash is in the key: two bodies under one clientMsgId may have been acknowledged, and
    each of these messages is kept.
    """

    pk = models.CompositePrimaryKey("from_user_id", "client_msg_id", "body_hash")
    from_user_id = models.BigIntegerField("sender")
    client_msg_id = ExactText("client message id", max_length=CLIENT_MSG_ID_LENGTH)
    message_id = models.BigIntegerField()
    body_hash = AsciiText(max_length=BODY_HASH_LENGTH)

    class Meta:
        db_table = "message_key"

    def __str__(self) -> str:
        return f"key {self.client_msg_id} of sender {self.from_user_id}"


class MessageAlias(models.Model):
    """Lead from the id of a repeated send, which clients may know, to the message that was kept.

    The row is written in the transaction of the fold. A fold of an older version has left no alias.
    """

    message_id = models.BigIntegerField("alias", primary_key=True)
    owner_id = models.BigIntegerField("message")

    class Meta:
        db_table = "message_alias"
        default_permissions = ()

    def __str__(self) -> str:
        return f"alias {self.message_id} of message {self.owner_id}"


class Conversation(models.Model):
    """Hold a conversation's last numbers; its row is the lock for giving `seq` numbers."""

    id = AsciiText("conversation", max_length=CONVERSATION_ID_LENGTH, primary_key=True)
    last_seq = models.BigIntegerField("messages", default=0)
    last_message_id = models.BigIntegerField("last message", default=0)

    class Meta:
        db_table = "conversation"

    def __str__(self) -> str:
        return f"conversation {self.id}"


class MessageDelete(models.Model):
    """Hold one user's delete of a message; the message may not be stored yet."""

    pk = models.CompositePrimaryKey("user_id", "message_id")
    user_id = models.BigIntegerField("user")
    message_id = models.BigIntegerField("message")

    class Meta:
        db_table = "message_delete"
        indexes = (models.Index(fields=["message_id"], name="message_delete_message_id"),)

    def __str__(self) -> str:
        return f"message {self.message_id} deleted by user {self.user_id}"


class CacheArrear(models.Model):
    """Hold an arrear: a row that Redis has to be told of at its return.

    With a user, Redis has to be told of that user's delete of the row.
    """

    message_id = models.BigIntegerField("message")
    user_id = models.BigIntegerField("user", null=True)

    class Meta:
        db_table = "cache_arrear"
        default_permissions = ()

    def __str__(self) -> str:
        return f"arrear of message {self.message_id}"


class DeadLetter(models.Model):
    """Keep a record of the log that could not be persisted, until a person decides about it."""

    topic = AsciiText(max_length=249)
    partition = models.IntegerField()
    offset = AsciiText(max_length=64)
    key = models.BinaryField()
    value = models.BinaryField()
    reason = BoundedText(max_length=DEAD_LETTER_REASON_LENGTH)
    error = BoundedText(max_length=DEAD_LETTER_ERROR_LENGTH, blank=True)
    attempts = models.PositiveIntegerField(default=1)
    message_id = models.BigIntegerField("message", null=True, blank=True)
    state = AsciiText(
        max_length=9,
        default=DeadLetterState.OPEN.value,
        choices=[(state.value, state.value.lower()) for state in DeadLetterState],
    )
    created_at = models.DateTimeField("created", auto_now_add=True)
    updated_at = models.DateTimeField("updated", auto_now=True)

    class Meta:
        db_table = "dead_letter"
        default_permissions = ("view", "change")  # change: replay or discard it
        constraints = (
            models.UniqueConstraint(
                fields=["topic", "partition", "offset"], name="dead_letter_position"
            ),
        )
        indexes = (
            models.Index(fields=["state", "id"], name="dead_letter_state_id"),
            models.Index(fields=["message_id"], name="dead_letter_message_id"),
        )

    def __str__(self) -> str:
        return f"dead letter {self.topic}/{self.partition}/{self.offset}"

    def as_letter(self) -> Letter:
        """Return the dead letter of this row in the form that the use cases take."""
        return Letter(
            topic=self.topic,
            partition=self.partition,
            offset=self.offset,
            key=bytes(self.key),
            value=bytes(self.value),
            reason=self.reason,
            error=self.error,
            attempts=self.attempts,
            message_id=self.message_id,
        )


class ChatGroup(models.Model):
    """Hold a group, whose members may write to each other in one conversation."""

    name = BoundedText(max_length=MAX_GROUP_NAME_CHARACTERS, validators=[validate_group_name])
    created_at = models.DateTimeField("created", auto_now_add=True)
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL, through="ChatGroupMember", related_name="chat_groups"
    )

    class Meta:
        db_table = "chat_group"
        verbose_name = "chat group"  # "group" is Django's word for a set of permissions
        indexes = (models.Index(fields=["name"], name="chat_group_name"),)

    def __str__(self) -> str:
        return f"group {self.name}"


class ChatGroupMember(models.Model):
    """Hold a user's membership in a group."""

    class Role(models.TextChoices):
        OWNER = "owner", "owner"
        ADMIN = "admin", "administrator"
        MEMBER = "member", "member"

    group = models.ForeignKey(ChatGroup, on_delete=models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    role = AsciiText(max_length=6, choices=Role.choices, default=Role.MEMBER)
    joined_at = models.DateTimeField("joined", auto_now_add=True)

    class Meta:
        db_table = "chat_group_member"
        verbose_name = "group member"
        constraints = (
            models.UniqueConstraint(fields=["group", "user"], name="chat_group_member_once"),
        )

    def __str__(self) -> str:
        return f"user {self.user_id} in group {self.group_id}"


class UserName(models.Model):
    """Hold a user's folded name, so that names that differ in case or width alone exist once."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="folded_name",
    )
    folded = BoundedText(max_length=LONGEST_FOLDED, unique=True)

    class Meta:
        db_table = "user_name"
        default_permissions = ()

    def __str__(self) -> str:
        return f"name of user {self.user_id}"


class UserTokens(models.Model):
    """Tell which of a user's tokens are no longer valid; without a row none was ever ended.

    `ended` maps each ended session to the time at which its last access token will have expired, in
    seconds since 1970.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="tokens",
    )
    generation = models.IntegerField(default=0, help_text="Older tokens have ended.")
    ended = models.JSONField(default=dict)

    class Meta:
        db_table = "user_tokens"
        default_permissions = ()

    def __str__(self) -> str:
        return f"tokens of user {self.user_id}"


class UserSession(models.Model):
    """Hold a login that can be renewed, and the refresh token that renews the login.

    Times are milliseconds since 1970.
    """

    id = AsciiText("session", max_length=SESSION_ID_LENGTH, primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sessions"
    )
    token_id = AsciiText("refresh token", max_length=SESSION_ID_LENGTH)
    renewed_at = models.BigIntegerField(help_text="Milliseconds since 1970.")
    expires_at = models.BigIntegerField(help_text="Milliseconds since 1970.")

    class Meta:
        db_table = "user_session"
        default_permissions = ()
        indexes = (models.Index(fields=["expires_at"], name="user_session_expires_at"),)

    def __str__(self) -> str:
        return f"session of user {self.user_id}"


class UserBlock(models.Model):
    """Hold a block: one user takes no private messages from another; groups are not concerned."""

    blocker = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="blocks",
        db_index=False,  # the indexes below begin with it
    )
    blocked = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="blocked_by",
        db_index=False,
    )
    created_at = models.DateTimeField("created", auto_now_add=True)

    class Meta:
        db_table = "user_block"
        default_permissions = ("view", "add", "delete")
        verbose_name = "block"
        constraints = (
            models.UniqueConstraint(fields=["blocker", "blocked"], name="user_block_once"),
            models.CheckConstraint(
                condition=~models.Q(blocker=models.F("blocked")), name="user_block_not_oneself"
            ),
        )
        indexes = (
            models.Index(fields=["blocker", "id"], name="user_block_blocker_id"),
            models.Index(fields=["blocked", "id"], name="user_block_blocked_id"),
        )

    def __str__(self) -> str:
        return f"block of user {self.blocked_id} by user {self.blocker_id}"


class Lease(models.Model):
    """Hold a lease, a named right of one owner for a while, for times when Redis is away."""

    name = AsciiText(max_length=64, primary_key=True)
    owner = AsciiText(max_length=64)
    expires_at = models.BigIntegerField(help_text="Milliseconds since 1970, database time.")

    class Meta:
        db_table = "lease"

    def __str__(self) -> str:
        return f"lease {self.name}"
