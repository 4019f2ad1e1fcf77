"""Define the tables of groups, and of the conversations of each user.

`GroupStore` writes the tables, apart from the first participants of a private conversation, which
`MessageStore.apply` writes. Times are milliseconds since 1970 unless a column holds a date.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models

from messaging.conf import MAX_URL_CHARACTERS
from messaging.database.fields import AsciiText, BoundedText, ExactText
from messaging.domain.groups import (
    GroupState,
    History,
    JoinMode,
    OutReason,
    PermittedRole,
    Role,
)
from messaging.limits import (
    MAX_ANNOUNCEMENT_CHARACTERS,
    MAX_GROUP_NAME_CHARACTERS,
    MAX_JOIN_TEXT_CHARACTERS,
    MAX_NICKNAME_CHARACTERS,
    MAX_REQUEST_ID_CHARACTERS,
)
from messaging.models.messages import CONVERSATION_ID_LENGTH
from messaging.validators import validate_group_name


class ChatGroup(models.Model):
    """Hold a group, whose members may write to each other in one conversation.

    `mode`: null for the mode of the settings. `creator_id` and `request_id`: who created the group,
    and the creator's own name for that request.
    """

    name = BoundedText(max_length=MAX_GROUP_NAME_CHARACTERS, validators=[validate_group_name])
    created_at = models.DateTimeField("created", auto_now_add=True)
    avatar = BoundedText(max_length=MAX_URL_CHARACTERS, blank=True, default="", db_default="")
    announcement = BoundedText(
        max_length=MAX_ANNOUNCEMENT_CHARACTERS, blank=True, default="", db_default=""
    )
    join_mode = AsciiText(
        max_length=8,
        choices=[(e.value, e.value) for e in JoinMode],
        db_default="invite",
        default=JoinMode.INVITE.value,
    )
    history = AsciiText(
        max_length=6,
        choices=[(e.value, e.value) for e in History],
        db_default="joined",
        default=History.JOINED.value,
    )
    invite_by = AsciiText(
        max_length=7,
        choices=[(e.value, e.value) for e in PermittedRole],
        db_default="members",
        default=PermittedRole.MEMBERS.value,
    )
    at_all_by = AsciiText(
        max_length=7,
        choices=[(e.value, e.value) for e in PermittedRole],
        db_default="admins",
        default=PermittedRole.ADMINS.value,
    )
    is_all_muted = models.BooleanField("all muted", default=False, db_default=False)
    state = AsciiText(
        max_length=9,
        choices=[(e.value, e.value.lower()) for e in GroupState],
        default=GroupState.NORMAL.value,
        db_default="NORMAL",
    )
    member_count = models.IntegerField("number of members", default=0, db_default=0)
    mode = AsciiText(
        max_length=5, null=True, blank=True, choices=[("async", "async"), ("sync", "sync")]
    )
    creator_id = models.BigIntegerField("creator", null=True, blank=True)
    request_id = ExactText(max_length=MAX_REQUEST_ID_CHARACTERS, null=True, blank=True)
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL, through="ChatGroupMember", related_name="chat_groups"
    )

    class Meta:
        db_table = "chat_group"
        verbose_name = "chat group"  # "group" is Django's word for a set of permissions
        constraints = (
            models.UniqueConstraint(fields=["creator_id", "request_id"], name="chat_group_request"),
        )
        indexes = (models.Index(fields=["name"], name="chat_group_name"),)

    def __str__(self) -> str:
        return f"group {self.name}"


class ChatGroupMember(models.Model):
    """Hold a user's membership in a group; a user who is out has no row.

    `muted_until`: 0 for a member who is not muted, -1 for one who is muted for good.
    """

    group = models.ForeignKey(ChatGroup, on_delete=models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    role = AsciiText(
        max_length=6,
        choices=[
            (Role.OWNER.value, "owner"),
            (Role.ADMIN.value, "administrator"),
            (Role.MEMBER.value, "member"),
        ],
        default=Role.MEMBER.value,
    )
    joined_at = models.DateTimeField("joined", auto_now_add=True)
    muted_until = models.BigIntegerField(default=0, db_default=0)
    nickname = BoundedText(
        max_length=MAX_NICKNAME_CHARACTERS, blank=True, default="", db_default=""
    )

    class Meta:
        db_table = "chat_group_member"
        verbose_name = "group member"
        constraints = (
            models.UniqueConstraint(fields=["group", "user"], name="chat_group_member_once"),
        )
        indexes = (models.Index(fields=["group", "role", "user"], name="chat_group_member_role"),)

    def __str__(self) -> str:
        return f"user {self.user_id} in group {self.group_id}"


class ChatGroupRequest(models.Model):
    """Hold a user's request to join a group, until somebody answers the request."""

    pk = models.CompositePrimaryKey("group_id", "user_id")
    group_id = models.BigIntegerField("group")
    user_id = models.BigIntegerField("user")
    text = BoundedText(max_length=MAX_JOIN_TEXT_CHARACTERS, blank=True)
    time = models.BigIntegerField("asked at")

    class Meta:
        db_table = "chat_group_request"
        default_permissions = ()

    def __str__(self) -> str:
        return f"request of user {self.user_id} to join group {self.group_id}"


class ChatGroupBan(models.Model):
    """Hold a ban: the user may not join the group, nor be added to it."""

    pk = models.CompositePrimaryKey("group_id", "user_id")
    group_id = models.BigIntegerField("group")
    user_id = models.BigIntegerField("user")
    banned_by = models.BigIntegerField("banned by")
    time = models.BigIntegerField("banned at")

    class Meta:
        db_table = "chat_group_ban"
        default_permissions = ()

    def __str__(self) -> str:
        return f"ban of user {self.user_id} from group {self.group_id}"


class Participant(models.Model):
    """Hold one user's place in one conversation: what the user may see, has read and has set.

    `floor_id`: no message at or below this id is shown to the user. `floor_seq`: the
    conversation's `last_seq` when the floor was set. A participant who is out keeps the row.
    `rev` counts the changes of the row. `member_muted_until`: the mute of a member of a group who
    is out, as `ChatGroupMember.muted_until` has it.
    """

    pk = models.CompositePrimaryKey("user_id", "conversation_id")
    user_id = models.BigIntegerField("user")
    conversation_id = AsciiText("conversation", max_length=CONVERSATION_ID_LENGTH)
    is_in = models.BooleanField("is in", default=True, db_default=True)
    out_reason = AsciiText(max_length=7, null=True, choices=[(e.value, e.value) for e in OutReason])
    floor_id = models.BigIntegerField(default=0, db_default=0)
    floor_seq = models.BigIntegerField(default=0, db_default=0)
    read_seq = models.BigIntegerField(default=0, db_default=0)
    delivered_seq = models.BigIntegerField(default=0, db_default=0)
    read_time = models.BigIntegerField(null=True)
    pin_time = models.BigIntegerField(null=True)
    muted_until = models.BigIntegerField(default=0, db_default=0)
    hidden_id = models.BigIntegerField(null=True)
    is_marked_unread = models.BooleanField(default=False, db_default=False)
    member_muted_until = models.BigIntegerField(default=0, db_default=0)
    rev = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        db_table = "participant"
        default_permissions = ()
        indexes = (
            models.Index(fields=["conversation_id", "read_seq"], name="participant_conversation"),
        )

    def __str__(self) -> str:
        return f"user {self.user_id} in conversation {self.conversation_id}"
