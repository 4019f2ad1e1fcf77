"""Test which records a reader may hand out and commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from messaging.eventlog.inbox import Inbox
from messaging.ports.log import POLL_BYTES, Position, Record


def fetched(
    partition: int, offsets: Iterable[int], *, value: bytes | None = b"value"
) -> list[Record]:
    return [Record(Position("topic", partition, str(o)), b"key", value) for o in offsets]


def last(offsets: Mapping[int, int]) -> dict[int, Record]:
    return {partition: fetched(partition, [offset])[0] for partition, offset in offsets.items()}


def offsets_of(records: list[Record]) -> list[tuple[int, int]]:
    return [(r.position.partition, int(r.position.offset)) for r in records]


class TestInbox:
    def test_hands_out_in_the_order_of_arrival(self) -> None:
        inbox: Inbox[int] = Inbox(int)
        inbox.put(fetched(1, range(3)))
        inbox.put(fetched(2, range(2)))
        assert offsets_of(inbox.take(4)) == [(1, 0), (1, 1), (1, 2), (2, 0)]
        assert offsets_of(inbox.take(4)) == [(2, 1)]
        assert inbox.take(4) == []

    def test_hands_out_no_more_bytes_than_a_poll_may_return(self) -> None:
        third = b"x" * (POLL_BYTES // 3)
        inbox: Inbox[int] = Inbox(int)
        inbox.put(fetched(1, range(5), value=third))
        assert not inbox.has_room(100)
        assert offsets_of(inbox.take(100)) == [(1, 0), (1, 1), (1, 2)]
        assert inbox.has_room(100)
        assert offsets_of(inbox.take(100)) == [(1, 3), (1, 4)]

    def test_hands_out_a_record_that_is_larger_alone(self) -> None:
        inbox: Inbox[int] = Inbox(int)
        inbox.put(fetched(1, [0]))
        inbox.put(fetched(1, [1], value=b"x" * (POLL_BYTES + 1)))
        inbox.put(fetched(1, [2], value=None))
        assert [offsets_of(inbox.take(100)) for _ in range(3)] == [[(1, 0)], [(1, 1)], [(1, 2)]]
        assert inbox.has_room(1)

    def test_has_room_for_what_was_forgotten(self) -> None:
        inbox: Inbox[int] = Inbox(int)
        inbox.put(fetched(1, [0], value=b"x" * POLL_BYTES))
        inbox.put(fetched(2, [0]))
        assert not inbox.has_room(100)
        inbox.forget([1])
        assert inbox.has_room(2)
        assert not inbox.has_room(1)

    def test_only_what_was_handed_out_may_be_committed(self) -> None:
        inbox: Inbox[int] = Inbox(int)
        inbox.put(fetched(1, range(10)))
        inbox.take(5)
        assert inbox.committable(last({1: 4})) == ({1: 4}, [])
        assert inbox.committable(last({1: 5})) == ({}, [1])
        assert inbox.committable(last({2: 0})) == ({}, [2])

    def test_what_is_committed_is_not_committed_again_nor_taken_back(self) -> None:
        inbox: Inbox[int] = Inbox(int)
        inbox.put(fetched(1, range(10)))
        inbox.take(10)
        inbox.note_committed({1: 6})
        assert inbox.committable(last({1: 6})) == ({}, [])
        assert inbox.committable(last({1: 3})) == ({}, [])
        assert inbox.committable(last({1: 7})) == ({1: 7}, [])

    def test_a_partition_that_moved_away_is_forgotten(self) -> None:
        inbox: Inbox[int] = Inbox(int)
        inbox.put([*fetched(1, range(4)), *fetched(2, range(4))])
        inbox.take(6)
        inbox.forget([1, 2])
        assert inbox.take(10) == []
        assert inbox.committable(last({1: 0, 2: 0})) == ({}, [1, 2])

    def test_other_partitions_keep_what_they_have(self) -> None:
        inbox: Inbox[int] = Inbox(int)
        inbox.put([*fetched(1, range(2)), *fetched(2, range(2)), *fetched(1, range(2, 4))])
        inbox.take(3)
        inbox.forget([1])
        assert offsets_of(inbox.take(10)) == [(2, 1)]
        assert inbox.committable(last({2: 1})) == ({2: 1}, [])

    def test_a_batch_from_before_a_partition_came_back_is_behind_or_refused(self) -> None:
        inbox: Inbox[int] = Inbox(int)
        inbox.put(fetched(1, range(10)))
        inbox.take(10)
        inbox.forget([1])
        inbox.put(fetched(1, range(6, 8)))  # another reader committed up to 5
        inbox.take(10)
        assert inbox.committable(last({1: 3})) == ({}, [])
        assert inbox.committable(last({1: 9})) == ({}, [1])
