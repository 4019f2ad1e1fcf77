"""Test how a user's wishes change the user's place in a conversation."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from messaging.domain.conversation_requests import SetRequest
from messaging.domain.conversations import Head, Participant
from messaging.domain.errors import ConversationNotFound, TooMany
from messaging.domain.groups import FOR_GOOD, OutReason
from messaging.ports.conversations import ParticipantFacts
from messaging.service.participant_rules import clear, set_state

NOW_MS = 5_000
INSIDE = Participant(user_id=1, conversation_id="g7", rev=3, read_seq=4, delivered_seq=6)
HEAD = Head(last_seq=9, last_rev=2, last_id=90)


def facts(
    participant: Participant = INSIDE, *, head: Head = HEAD, pins: int = 0
) -> ParticipantFacts:
    return ParticipantFacts(participant=participant, head=head, pins=pins)


def after(known: ParticipantFacts, *, newest_id: int = 0, **wish: object) -> Participant:
    wanted = SetRequest(conversation_id="g7", **wish)  # type: ignore[arg-type]
    return set_state(known, wanted, newest_id=newest_id, now_ms=NOW_MS)


def test_only_what_is_given_changes() -> None:
    set_before = replace(
        INSIDE, pin_time=1, muted_until=FOR_GOOD, hidden_id=70, is_marked_unread=True
    )
    assert after(facts(set_before)) == set_before
    assert after(facts(set_before), pinned=False) == replace(set_before, pin_time=None)
    assert after(facts(set_before), muted_for_s=0) == replace(set_before, muted_until=0)
    assert after(facts(set_before), hidden=False) == replace(set_before, hidden_id=None)
    assert after(facts(set_before), marked_unread=False) == replace(
        set_before, is_marked_unread=False
    )
    assert after(facts(), marked_unread=True) == replace(INSIDE, is_marked_unread=True)


def test_a_pin_keeps_its_first_time() -> None:
    assert after(facts(pins=99), pinned=True).pin_time == NOW_MS
    pinned = replace(INSIDE, pin_time=1)
    assert after(facts(pinned, pins=100), pinned=True) == pinned


def test_pins_beyond_the_most_are_refused() -> None:
    with pytest.raises(TooMany) as refused:
        after(facts(pins=100), pinned=True)
    assert refused.value.data == {"limit": 100}
    assert after(facts(pins=100), pinned=False) == INSIDE


@pytest.mark.parametrize(
    ("seconds", "until"), [(0, 0), (FOR_GOOD, FOR_GOOD), (60, NOW_MS + 60_000)]
)
def test_a_mute_has_an_end(seconds: int, until: int) -> None:
    assert after(facts(), muted_for_s=seconds).muted_until == until


@pytest.mark.parametrize(("newest_id", "hidden_id"), [(0, 90), (89, 90), (91, 91)])
def test_a_conversation_is_hidden_until_a_message_that_is_newer_than_all(
    newest_id: int, hidden_id: int
) -> None:
    assert after(facts(), newest_id=newest_id, hidden=True).hidden_id == hidden_id


def test_a_clear_hides_and_counts_as_read_what_there_is() -> None:
    before = replace(INSIDE, is_marked_unread=True, pin_time=1, hidden_id=2)
    assert clear(facts(before), floor_id=95, now_ms=NOW_MS) == replace(
        before,
        floor_id=95,
        floor_seq=9,
        read_seq=9,
        delivered_seq=9,
        read_time=NOW_MS,
        is_marked_unread=False,
    )


@pytest.mark.parametrize(("held", "wanted", "floor_id"), [(0, 80, 90), (99, 95, 99), (0, 95, 95)])
def test_a_clear_never_lowers_a_floor_and_hides_all_rows(
    held: int, wanted: int, floor_id: int
) -> None:
    before = replace(INSIDE, floor_id=held, floor_seq=3)
    assert clear(facts(before), floor_id=wanted, now_ms=NOW_MS).floor_id == floor_id


def test_a_clear_of_what_is_read_is_no_reading() -> None:
    before = replace(INSIDE, read_seq=9, delivered_seq=9, read_time=7)
    cleared = clear(facts(before), floor_id=95, now_ms=NOW_MS)
    assert (cleared.read_seq, cleared.read_time) == (9, 7)


def test_a_user_who_is_out_changes_nothing() -> None:
    out = facts(replace(INSIDE, is_in=False, out_reason=OutReason.LEFT))
    with pytest.raises(ConversationNotFound):
        after(out, pinned=False)
    with pytest.raises(ConversationNotFound):
        clear(out, floor_id=95, now_ms=NOW_MS)
