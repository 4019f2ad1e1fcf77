"""Test spans of messages, changed messages and deletes, of many conversations in one call."""

from __future__ import annotations

import pytest

from messaging.domain.message import Message
from messaging.ports.conversations import DeletedSince, Since, Span
from tests.contract.conversations.rigs import Rig
from tests.support.messages import FIRST_ID, make_message


def seqs(found: dict[str, list[Message]]) -> dict[str, list[int | None]]:
    return {name: [message.seq for message in rows] for name, rows in found.items()}


def revs(found: dict[str, list[Message]]) -> dict[str, list[int]]:
    return {name: [message.rev for message in rows] for name, rows in found.items()}


class TestSpans:
    @pytest.fixture(autouse=True)
    async def said(self, rig: Rig) -> None:
        """Store seven messages whose order of `seq` is not that of their ids, and others."""
        for number in (3, 1, 4, 7, 5, 9, 2):
            await rig.store.apply([make_message(number)])
        await rig.store.apply([make_message(n, to_id=3) for n in range(20, 23)])

    @pytest.mark.parametrize(
        ("above", "up_to", "limit", "newest", "oldest"),
        [
            (0, 7, 100, [1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 7]),
            (2, 5, 100, [3, 4, 5], [3, 4, 5]),
            (2, 5, 3, [3, 4, 5], [3, 4, 5]),
            (2, 7, 2, [6, 7], [3, 4]),
            (2, 7, 1, [7], [3]),
            (7, 7, 5, [], []),
            (9, 3, 5, [], []),
        ],
    )
    async def test_holds_the_rows_between_two_numbers(
        self, rig: Rig, above: int, up_to: int, limit: int, newest: list[int], oldest: list[int]
    ) -> None:
        for from_oldest, expected in ((False, newest), (True, oldest)):
            span = Span("1_2", above, up_to, limit, from_oldest)
            assert seqs(await rig.conversations.spans([span])) == {"1_2": expected}

    async def test_holds_whole_rows(self, rig: Rig) -> None:
        found = await rig.conversations.spans([Span("1_2", 0, 7, 9)])

        assert [m.id - FIRST_ID for m in found["1_2"]] == [3, 1, 4, 7, 5, 9, 2]
        stored = await rig.store.get([m.id for m in found["1_2"]])
        assert found["1_2"] == [stored[m.id] for m in found["1_2"]]

    async def test_several_conversations_are_told_apart(self, rig: Rig) -> None:
        wanted = [Span("1_2", 5, 7, 9), Span("1_3", 0, 3, 2), Span("8_9", 0, 3, 2)]

        found = await rig.conversations.spans(wanted)

        assert seqs(found) == {"1_2": [6, 7], "1_3": [2, 3], "8_9": []}
        assert await rig.conversations.spans([]) == {}

    async def test_there_may_be_more_than_one_statement_takes(self, rig: Rig) -> None:
        await rig.store.apply([make_message(1_000 + n, to_id=n) for n in range(100, 700)])
        wanted = [Span(f"1_{n}", 0, 1, 5) for n in range(100, 700)]

        found = await rig.conversations.spans(wanted)

        assert {name: [m.to_id for m in rows] for name, rows in found.items()} == {
            f"1_{n}": [n] for n in range(100, 700)
        }


class TestChanges:
    @pytest.fixture(autouse=True)
    async def changed(self, rig: Rig) -> list[Message]:
        """Store messages of two conversations, and recall five of them in some order."""
        sent = [make_message(n) for n in range(6)]
        other = make_message(50, to_id=3)
        await rig.store.apply([*sent, other])
        for number in (4, 1, 3):
            await rig.store.apply([sent[number].recalled(9)])
        await rig.store.apply([sent[0].recalled(9), other.recalled(8)])
        return sent

    @pytest.mark.parametrize(
        ("above", "up_to", "limit", "expected"),
        [
            (0, 4, 9, [1, 2, 3, 4]),
            (1, 3, 9, [2, 3]),
            (0, 4, 2, [1, 2]),
            (2, 99, 1, [3]),
            (4, 4, 9, []),
        ],
    )
    async def test_are_told_in_the_order_of_their_numbers(
        self, rig: Rig, above: int, up_to: int, limit: int, expected: list[int]
    ) -> None:
        wanted = [Since("1_2", above, up_to)]

        assert revs(await rig.conversations.changes(wanted, limit=limit)) == {"1_2": expected}

    async def test_are_whole_rows(self, rig: Rig) -> None:
        found = (await rig.conversations.changes([Since("1_2", 0, 9)], limit=9))["1_2"]

        assert [m.id - FIRST_ID for m in found] == [4, 1, 3, 0]
        stored = await rig.store.get([m.id for m in found])
        assert found == [stored[m.id] for m in found]
        assert all(m.is_recalled for m in found)

    async def test_of_several_conversations_are_told_apart(self, rig: Rig) -> None:
        wanted = [Since("1_3", 0, 9), Since("1_2", 3, 9), Since("8_9", 0, 9)]

        found = await rig.conversations.changes(wanted, limit=1)

        assert revs(found) == {"1_3": [1], "1_2": [4], "8_9": []}
        assert await rig.conversations.changes([], limit=1) == {}

    async def test_a_message_that_changes_again_has_its_latest_number_alone(
        self, rig: Rig, changed: list[Message]
    ) -> None:
        await rig.store.apply([changed[1].recalled(3)])  # the earlier recall counts

        found = (await rig.conversations.changes([Since("1_2", 0, 9)], limit=9))["1_2"]

        assert [(m.id - FIRST_ID, m.rev) for m in found] == [(4, 1), (3, 3), (0, 4), (1, 5)]


class TestDeletes:
    @pytest.fixture(autouse=True)
    async def deleted(self, rig: Rig) -> None:
        """Delete messages for two users: three with one `rev`, and others."""
        for ids, rev in (([5], 2), ([9, 1, 4], 3), ([2], 5), ([8], 0)):
            await rig.delete(1, "1_2", ids=ids, rev=rev)
        await rig.delete(1, "1_3", ids=[20, 21], rev=1)
        await rig.delete(2, "1_2", ids=[5, 7], rev=3)

    async def since(self, rig: Rig, above: int, up_to: int, limit: int = 9) -> DeletedSince:
        wanted = [Since("1_2", above, up_to)]
        return (await rig.conversations.deletes_since(1, wanted, limit=limit))["1_2"]

    async def test_are_told_with_the_rev_that_they_are_complete_to(self, rig: Rig) -> None:
        assert ids_of(await self.since(rig, 0, 7)) == ([5, 1, 4, 9, 2], 7)
        assert ids_of(await self.since(rig, 2, 4)) == ([1, 4, 9], 4)
        assert ids_of(await self.since(rig, 5, 7)) == ([], 7)
        assert ids_of(await self.since(rig, 7, 7)) == ([], 7)

    async def test_deletes_of_one_rev_are_never_parted(self, rig: Rig) -> None:
        assert ids_of(await self.since(rig, 0, 7, limit=1)) == ([5], 2)
        for limit in (2, 3, 4):
            assert ids_of(await self.since(rig, 0, 7, limit=limit)) == ([5, 1, 4, 9], 3)
        assert ids_of(await self.since(rig, 2, 7, limit=1)) == ([1, 4, 9], 3)
        assert ids_of(await self.since(rig, 3, 7, limit=1)) == ([2], 5)

    async def test_of_several_conversations_are_told_apart(self, rig: Rig) -> None:
        wanted = [Since("1_3", 0, 4), Since("1_2", 3, 9), Since("8_9", 0, 6)]

        found = await rig.conversations.deletes_since(1, wanted, limit=9)

        assert found == {
            "1_3": DeletedSince((20, 21), 4),
            "1_2": DeletedSince((2,), 9),
            "8_9": DeletedSince((), 6),
        }
        assert await rig.conversations.deletes_since(1, [], limit=9) == {}


def ids_of(deleted: DeletedSince) -> tuple[list[int], int]:
    return list(deleted.message_ids), deleted.up_to
