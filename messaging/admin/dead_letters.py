"""Show dead letters, and let a person replay or discard them.

A dead letter is a record of the log that could not be persisted. Rows are read here; the use cases
replay and discard. Nobody edits or deletes a letter.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from messaging.admin.dead_letter_list import DeadLetterChangeList, StateFilter
from messaging.admin.display import NOTHING, age, search_link, text_of, visible
from messaging.admin.keyset import ReadOnlyAdmin, read_number
from messaging.admin.trace import trace_link
from messaging.domain.errors import TemporarilyUnavailable
from messaging.models import DeadLetter
from messaging.ports.store import DeadLetterState
from messaging.runtime import wiring
from messaging.service import dead_letters
from messaging.service.dead_letters import Decision

SHOWN_CHARACTERS = 4_000


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    change_list = DeadLetterChangeList
    list_display = (
        "id",
        "reason",
        "error_shown",
        "source",
        "message",
        "state",
        "attempts",
        "age",
        "trace",
    )
    list_filter = (StateFilter,)
    lookups = frozenset({"state"})
    search_fields = ("message_id",)
    search_help_text = "A message id."
    empty_list_text = "No dead letter fits."
    actions = ("replay", "discard")
    change_form_template = "admin/messaging/deadletter/change_form.html"
    fields = (
        ("state", "decided"),
        ("reason", "error_shown"),
        ("source", "message", "trace"),
        ("kept", "attempts"),
        "key_shown",
        "value_shown",
    )

    def search(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        message_id = read_number(term)
        return queryset.none() if message_id is None else queryset.filter(message_id=message_id)

    # deciding

    def has_settle_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("messaging.change_deadletter"))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        context["may_settle"] = self.has_settle_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.action(description="Replay: append the records to the log again", permissions=["settle"])
    def replay(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        self._settle(request, self._selected(queryset), dead_letters.replay, "Replayed")

    @admin.action(description="Discard: note that nothing has to be done", permissions=["settle"])
    def discard(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        undecided = queryset.filter(state=DeadLetterState.OPEN.value)
        self._settle(request, self._selected(undecided), dead_letters.discard, "Discarded")

    def _selected(self, queryset: QuerySet[DeadLetter]) -> list[DeadLetter]:
        """Return the selected rows, a page of them at most, oldest first."""
        return list(queryset.defer(None).order_by("id")[: self.list_per_page])

    def _settle(
        self, request: HttpRequest, rows: list[DeadLetter], decide: Decision, word: str
    ) -> None:
        letters = {row.as_letter(): row for row in rows}
        try:
            settled = wiring.run(lambda backends: decide(backends, list(letters)))
        except TemporarilyUnavailable:
            messages.error(request, "A service is away: start it, then do this again.")
            return
        for letter in settled:
            self.log_change(request, letters[letter], f"{word}.")
        if settled:
            messages.success(request, f"{word}: {len(settled)}.")
        if left := len(rows) - len(settled):
            messages.error(
                request,
                f"The log did not confirm these letters, which stay as they are: {left}. "
                "Try again later.",
            )
        if not rows:
            messages.warning(request, "None of the selected letters is open: select open letters.")

    # showing

    @admin.display(description="source position")
    def source(self, row: DeadLetter) -> str:
        if row.partition < 0:
            return "compensation"
        return f"{row.topic} / {row.partition} / {row.offset}"

    @admin.display(description="message")
    def message(self, row: DeadLetter) -> str | SafeString:
        if row.message_id is None:
            return NOTHING
        return search_link(str(row.message_id), str(row.message_id))

    @admin.display(description="trace")
    def trace(self, row: DeadLetter) -> str | SafeString:
        return NOTHING if row.message_id is None else trace_link(row.message_id)

    @admin.display(description="age")
    def age(self, row: DeadLetter) -> str:
        return age((timezone.now() - row.created_at).total_seconds())

    @admin.display(description="kept since (UTC)")
    def kept(self, row: DeadLetter) -> str:
        return f"{row.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"

    @admin.display(description="last decision")
    def decided(self, row: DeadLetter) -> str:
        kind = ContentType.objects.get_for_model(row)
        entry = LogEntry.objects.filter(content_type=kind, object_id=str(row.pk)).first()
        if entry is None:
            return NOTHING
        when = entry.action_time.astimezone(UTC)
        return f"{entry.get_change_message()} ({entry.user}, {when:%Y-%m-%d %H:%M:%S} UTC)"

    @admin.display(description="error")
    def error_shown(self, row: DeadLetter) -> str | SafeString:
        return visible(row.error) if row.error else NOTHING

    @admin.display(description="key")
    def key_shown(self, row: DeadLetter) -> str | SafeString:
        return visible(text_of(row.key)) if row.key else NOTHING

    @admin.display(description="value")
    def value_shown(self, row: DeadLetter) -> str | SafeString:
        """Return the record's text, unless its message is recalled or that cannot be known."""
        if not row.value:
            return "empty"
        text = text_of(row.value)
        letter = row.as_letter()
        try:
            recalled = wiring.run(lambda backends: dead_letters.shows_recalled(backends, letter))
        except TemporarilyUnavailable:
            return _quiet("withheld: whether its message was recalled cannot be known now")
        if recalled:
            return _quiet("withheld: its message was recalled")
        cut = len(text) - SHOWN_CHARACTERS
        rest = _quiet(f" … and {cut} more characters") if cut > 0 else ""
        return format_html('<div class="im-raw">{}{}</div>', visible(text[:SHOWN_CHARACTERS]), rest)


def _quiet(text: str) -> SafeString:
    return format_html('<span class="im-quiet">{}</span>', text)
