"""Define the tables of people: profiles, names, tokens, sessions and blocks."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from messaging.conf import MAX_URL_CHARACTERS
from messaging.database.fields import AsciiText, BoundedText
from messaging.domain.groups import Allows
from messaging.domain.names import LONGEST_FOLDED
from messaging.limits import MAX_NICKNAME_CHARACTERS

SESSION_ID_LENGTH = 64


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


class Profile(models.Model):
    """Hold how a user appears to others, and the user's choices; without a row the defaults hold.

    `invites_from`: `nobody` refuses to be added to a group by somebody else. `receipts_from`: the
    time (ms) from which reading is shown, which is when the user last chose to show receipts again.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="profile"
    )
    nickname = BoundedText(
        max_length=MAX_NICKNAME_CHARACTERS, blank=True, default="", db_default=""
    )
    avatar = BoundedText(max_length=MAX_URL_CHARACTERS, blank=True, default="", db_default="")
    shows_receipts = models.BooleanField(default=True, db_default=True)
    receipts_from = models.BigIntegerField(default=0, db_default=0)
    invites_from = AsciiText(max_length=9, default=Allows.EVERYBODY.value, db_default="everybody")

    class Meta:
        db_table = "profile"
        default_permissions = ()

    def __str__(self) -> str:
        return f"profile of user {self.user_id}"


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
