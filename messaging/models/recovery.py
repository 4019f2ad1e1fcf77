"""Define the tables of what waits: hints of Redis, dead letters of the log, and leases."""

from __future__ import annotations

from dataclasses import fields

from django.db import models

from messaging.database.fields import AsciiText, BoundedText
from messaging.ports.store import DeadLetter as Letter
from messaging.ports.store import DeadLetterState

DEAD_LETTER_REASON_LENGTH = 64
DEAD_LETTER_ERROR_LENGTH = 2_000


class CacheArrear(models.Model):
    """Hold a hint: a row that Redis has to be shown at its return.

    With a user, Redis has to be shown that user's delete of the row.
    """

    message_id = models.BigIntegerField("message")
    user_id = models.BigIntegerField("user", null=True)

    class Meta:
        db_table = "cache_arrear"
        default_permissions = ()

    def __str__(self) -> str:
        return f"hint of message {self.message_id}"


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
        same = {each.name: getattr(self, each.name) for each in fields(Letter)}
        return Letter(**same | {"key": bytes(self.key), "value": bytes(self.value)})


class Lease(models.Model):
    """Hold a lease, a named right of one owner for a while, for times when Redis is away."""

    name = AsciiText(max_length=64, primary_key=True)
    owner = AsciiText(max_length=64)
    expires_at = models.BigIntegerField(help_text="Milliseconds since 1970, database time.")

    class Meta:
        db_table = "lease"

    def __str__(self) -> str:
        return f"lease {self.name}"
