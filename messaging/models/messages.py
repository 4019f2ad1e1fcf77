"""Define the tables of messages, which the store alone writes.

The tables are shaped to be partitioned by month on the snowflake id: the id is in every unique key
of `message`, and no foreign key points at a message or from one. Times of messages are milliseconds
since 1970.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy

from messaging.conf import MAX_CONTENT_CODE_POINTS, MAX_URL_CHARACTERS
from messaging.database.fields import AsciiText, BoundedText, ExactText
from messaging.domain.message import ChatType, MsgType, PersistStatus, Status

CONVERSATION_ID_LENGTH = 64
CLIENT_MSG_ID_LENGTH = 64
BODY_HASH_LENGTH = 32
AT_USER_IDS_LENGTH = 2_048  # 100 ids of 19 digits, as JSON
EXTRA_LENGTH = 1_024  # a notice names 20 users


class Message(models.Model):
    """Hold one message; a recalled message keeps its row, place and `seq`, without its content.

    `expire_at` is null in every row. The column is there because unread messages are counted in the
    index `message_unread` alone, and a later change of that index would take hours on a full table.
    """

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
    recalled_by = models.BigIntegerField(
        null=True, blank=True, help_text="Null for a sender who recalled the message."
    )
    extra = AsciiText(
        max_length=EXTRA_LENGTH, null=True, blank=True, help_text="JSON: what few messages have."
    )
    rev = models.BigIntegerField(
        "revision", default=0, db_default=0, help_text="Of the last change; 0: as sent."
    )
    expire_at = models.BigIntegerField(null=True, blank=True)
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
            models.Index(
                fields=[
                    "conversation_id",
                    "seq",
                    "status",
                    "msg_type",
                    "from_user_id",
                    "expire_at",
                ],
                name="message_unread",
            ),
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


class Operations(Message):
    """Name the page of the service's state in the admin; the page has no rows."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        verbose_name = gettext_lazy("operations")
        verbose_name_plural = gettext_lazy("operations")


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

    The row is written in the transaction of the deduplication. An older version has left no alias.
    """

    message_id = models.BigIntegerField("alias", primary_key=True)
    owner_id = models.BigIntegerField("message")

    class Meta:
        db_table = "message_alias"
        default_permissions = ()

    def __str__(self) -> str:
        return f"alias {self.message_id} of message {self.owner_id}"


class Conversation(models.Model):
    """Hold a conversation's last numbers; its row is the lock for giving the numbers.

    `last_seq` numbers the messages, `last_rev` the changes of stored messages. Both are gap-free.
    """

    id = AsciiText("conversation", max_length=CONVERSATION_ID_LENGTH, primary_key=True)
    last_seq = models.BigIntegerField("messages", default=0)
    last_message_id = models.BigIntegerField("last message", default=0)
    last_rev = models.BigIntegerField("changes", default=0, db_default=0)

    class Meta:
        db_table = "conversation"

    def __str__(self) -> str:
        return f"conversation {self.id}"


class MessageChange(models.Model):
    """Hold the latest change of a stored message; a message as it was sent has no row here."""

    message_id = models.BigIntegerField("message", primary_key=True)
    conversation_id = AsciiText("conversation", max_length=CONVERSATION_ID_LENGTH)
    rev = models.BigIntegerField("revision")

    class Meta:
        db_table = "message_change"
        default_permissions = ()
        indexes = (models.Index(fields=["conversation_id", "rev"], name="message_change_rev"),)

    def __str__(self) -> str:
        return f"change {self.rev} of message {self.message_id}"


class MessageDelete(models.Model):
    """Hold one user's delete of a message; the message may not be stored yet.

    `rev`: the participant's `rev` that the delete gave. An older version has left neither the
    conversation nor the `rev`.
    """

    pk = models.CompositePrimaryKey("user_id", "message_id")
    user_id = models.BigIntegerField("user")
    message_id = models.BigIntegerField("message")
    conversation_id = AsciiText(
        "conversation", max_length=CONVERSATION_ID_LENGTH, null=True, blank=True
    )
    rev = models.BigIntegerField("revision", default=0, db_default=0)

    class Meta:
        db_table = "message_delete"
        indexes = (
            models.Index(fields=["message_id"], name="message_delete_message_id"),
            models.Index(fields=["user_id", "conversation_id", "rev"], name="message_delete_rev"),
        )

    def __str__(self) -> str:
        return f"message {self.message_id} deleted by user {self.user_id}"
