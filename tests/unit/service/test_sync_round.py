"""Check which conversations a call of sync tells of, in which order, and how far."""

from __future__ import annotations

from msgspec.structs import replace

from messaging.domain.conversations import Entry, Head, Listed, Participant, Peer
from messaging.domain.groups import OutReason
from messaging.domain.sync_cursor import Cursor, Position, Round
from messaging.domain.sync_requests import Order, SyncRequest
from messaging.service.sync_round import Plan, differs, plan

KNOWN = Position(seq=10, rev=2, own_rev=3)
ENTRY = Entry(
    participant=Participant(user_id=1, conversation_id="g1", rev=3),
    head=Head(last_seq=10, last_rev=2, last_id=100),
)


def entry(name: str, last_seq: int, activity: int = 0, **columns: object) -> Entry:
    """Return a conversation whose newest message has this `seq`, and this id (100 for each)."""
    participant = replace(ENTRY.participant, conversation_id=name, rev=0, **columns)  # type: ignore[arg-type]
    head = Head(last_seq=last_seq, last_id=activity or last_seq * 100)
    return Entry(participant=participant, head=head)


def planned(
    *entries: Entry,
    cursor: Cursor | None = None,
    limit: int = 20,
    order: Order = Order.NEWEST,
) -> Plan:
    request = SyncRequest(cursor=cursor or Cursor(), limit=limit, order=order)
    return plan({each.conversation_id: each for each in entries}, request)


def names(made: Plan) -> list[str]:
    return [visit.conversation_id for visit in made.visits]


def test_a_conversation_without_news_does_not_differ() -> None:
    assert not differs(KNOWN, ENTRY)


def test_each_number_makes_a_difference() -> None:
    head, participant = ENTRY.head, ENTRY.participant
    peer = Peer(read_seq=4, delivered_seq=6)
    changed = [
        replace(ENTRY, head=replace(head, last_seq=11)),
        replace(ENTRY, head=replace(head, last_rev=3)),
        replace(ENTRY, participant=replace(participant, rev=4)),
        replace(ENTRY, peer=replace(peer, delivered_seq=0)),
        replace(ENTRY, peer=replace(peer, read_seq=0)),
    ]
    assert all(differs(KNOWN, each) for each in changed)
    assert not differs(replace(KNOWN, peer_read=4, peer_delivered=6), replace(ENTRY, peer=peer))
    assert differs(None, ENTRY)


def test_messages_below_the_floor_make_no_difference() -> None:
    cleared = replace(ENTRY, participant=replace(ENTRY.participant, floor_seq=10))
    assert not differs(replace(KNOWN, seq=4), cleared)


def test_a_conversation_begins_above_its_floor() -> None:
    cleared = entry("g1", 12, floor_seq=10)
    for known in (Cursor(), Cursor({"g1": Position(4)})):
        (visit,) = planned(cleared, cursor=known).visits
        assert (visit.start, visit.low, visit.high) == (10, 10, 12)


def test_a_position_ahead_of_the_conversation_is_reset() -> None:
    for position in (
        replace(KNOWN, seq=11),
        replace(KNOWN, rev=3),
        replace(KNOWN, own_rev=4),
    ):
        (visit,) = planned(ENTRY, cursor=Cursor({"g1": position})).visits
        assert (visit.is_reset, visit.known, visit.low, visit.high) == (True, None, 0, 10)


def test_the_newest_leave_a_gap_and_the_oldest_page() -> None:
    known = Cursor({"g1": Position(30)})
    (visit,) = planned(entry("g1", 100), cursor=known).visits
    assert (visit.start, visit.low, visit.high, visit.is_whole) == (30, 80, 100, True)
    made = planned(entry("g1", 100), entry("g2", 7), cursor=known, order=Order.OLDEST)
    (visit,) = made.visits
    assert (visit.start, visit.low, visit.high) == (30, 30, 50)
    assert (made.is_cut, visit.after) == (True, Round(10_000, "g1", 100))


def test_a_round_stays_until_the_last_message_of_its_first_page() -> None:
    under_way = Round(10_000, "g1", 100)
    known = {"g1": Position(90)}
    busy = entry("g1", 500)
    made = planned(
        busy, entry("g2", 7), cursor=Cursor(known, under_way), order=Order.OLDEST, limit=10
    )
    assert names(made) == ["g1", "g2"]
    assert (made.visits[0].high, made.visits[0].after) == (100, Round(10_000))
    made = planned(
        busy, entry("g2", 7), cursor=Cursor(known, under_way), order=Order.OLDEST, limit=9
    )
    assert names(made) == ["g1"]
    assert made.visits[0].after == under_way


def test_a_round_goes_down_by_activity_once() -> None:
    quiet = [entry(f"g{number}", 1, activity=number) for number in range(1, 151)]
    first = planned(*quiet)
    assert names(first) == [f"g{number}" for number in range(150, 50, -1)]
    assert (first.is_cut, first.visits[-1].after) == (True, Round(51))
    told = {name: Position(1) for name in names(first)}
    moved = [entry("g150", 2, activity=999), *quiet[:40], entry("g41", 2, activity=998)]
    second = planned(*moved, *quiet[41:149], cursor=Cursor(told, Round(51)))
    assert names(second) == [
        *[f"g{number}" for number in range(50, 0, -1) if number != 41],
        "g150",
        "g41",
    ]
    assert not second.is_cut


def test_an_answer_has_so_many_messages() -> None:
    made = planned(*[entry(f"g{number}", 200 + number) for number in range(1, 9)], limit=90)
    assert names(made) == ["g8", "g7", "g6", "g5", "g4"]
    assert made.is_cut


def test_a_pending_message_is_told_once_a_round() -> None:
    waiting = [
        replace(entry(f"g{number}", 1, activity=number), listed=Listed(1_000 + number))
        for number in range(1, 121)
    ]
    told = {each.conversation_id: Position(1) for each in waiting}
    first = planned(*waiting, cursor=Cursor(told))
    assert (len(first.visits), first.is_cut) == (100, True)
    second = planned(*waiting, cursor=Cursor(told, first.visits[-1].after))
    assert (len(second.visits), second.is_cut) == (20, False)
    assert not set(names(first)) & set(names(second))


def test_the_other_party_alone_begins_no_next_round() -> None:
    moved = replace(entry("g1", 1), peer=Peer(read_seq=1))
    known = {"g1": Position(1)}
    assert names(planned(moved, cursor=Cursor(known))) == ["g1"]
    assert names(planned(moved, cursor=Cursor(known, Round(1)))) == []


def test_a_round_that_lacks_something_is_the_last_one() -> None:
    more = entry("g1", 2)
    known = {"g1": Position(1)}
    assert names(planned(more, cursor=Cursor(known, Round(1)))) == ["g1"]
    assert names(planned(more, cursor=Cursor(known, Round(1, lacks=True)))) == []


def test_what_a_user_has_left_is_told_where_the_client_knows_it() -> None:
    gone = entry("g1", 5, is_in=False, out_reason=OutReason.LEFT)
    made = planned(gone, cursor=Cursor({"g1": Position(5)}))
    assert ([each.conversation_id for each in made.left], names(made)) == (["g1"], [])
    assert not planned(gone).left
