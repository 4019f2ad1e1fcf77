"""Test repeated sends: their keys, and the message that each is deduplicated into."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from msgspec import structs

from messaging.ports.cached import IdempotencyRecord
from messaging.ports.store import Deletes, MessageStore
from tests.support.messages import make_message


class TestKeys:
    async def test_deduplicate_a_repeat_into_the_first_send(self, store: MessageStore) -> None:
        first, repeat = (make_message(n, content="x", client_msg_id="k") for n in (1, 2))
        (row,) = (await store.apply([first])).rows

        for _ in range(2):
            result = await store.apply([repeat, make_message(3)])
            assert result.duplicates == {repeat.id: row}
            assert [r.id for r in result.rows] == [make_message(3).id]

        assert await store.get([repeat.id]) == {}
        assert (await store.tail("1_2", limit=9)).total == 2

    async def test_deduplicate_within_a_batch_into_the_smallest_id(
        self, store: MessageStore
    ) -> None:
        first, *repeats = [make_message(n, content="x", client_msg_id="k") for n in (1, 2, 3)]

        result = await store.apply([*repeats, first])

        assert result.rows == (structs.replace(first, seq=1),)
        assert result.duplicates == {repeat.id: structs.replace(first, seq=1) for repeat in repeats}

    async def test_of_another_body_are_of_another_message(self, store: MessageStore) -> None:
        first = make_message(1, content="one", client_msg_id="k")
        other = make_message(2, to_id=3, content="another", client_msg_id="k")
        third = make_message(3, content="third", client_msg_id="k")
        repeats = [structs.replace(m, id=m.id + 9) for m in (first, other, third)]

        rows = [row for m in (other, first) for row in (await store.apply([m])).rows]
        assert [row.id for row in rows] == [other.id, first.id]
        for _ in range(2):
            result = await store.apply([*repeats, third])
            assert {i: row.id for i, row in result.duplicates.items()} == {
                repeat.id: m.id for repeat, m in zip(repeats, (first, other, third), strict=True)
            }
        assert (await store.tail("1_3", limit=9)).total == 1
        assert (await store.tail("1_2", limit=9)).total == 2
        keys = [(1, "k", m.body_hash) for m in (first, other)]
        unknown = (1, "k", "f" * 32)
        assert await store.find_idempotency_records([*keys, unknown]) == {
            keys[0]: IdempotencyRecord(first.id, first.body_hash),
            keys[1]: IdempotencyRecord(other.id, other.body_hash),
            unknown: IdempotencyRecord(first.id, first.body_hash),
        }

    async def test_are_a_senders_own_and_compared_byte_for_byte(self, store: MessageStore) -> None:
        keys = ["abc", "ABC", "abc ", "abc  ", " abc", "abc\x7f", "a" * 64]
        messages = [make_message(n, client_msg_id=key) for n, key in enumerate(keys)]
        messages.append(make_message(90, from_user_id=2, to_id=1, client_msg_id="abc"))

        result = await store.apply(messages)

        assert not result.duplicates
        assert len(result.rows) == len(messages)
        sends = [m.send_key for m in messages if m.send_key is not None]
        assert await store.find_idempotency_records(sends) == {
            m.send_key: IdempotencyRecord(m.id, m.body_hash) for m in messages
        }
        strange = [(1, "àbc"), (3, "abc"), (1, "")]
        assert (
            await store.find_idempotency_records([(*name, sends[0][2]) for name in strange]) == {}
        )

    async def test_recall_of_a_repeat_recalls_the_first_send(self, store: MessageStore) -> None:
        first, repeat = [make_message(n, content="x", client_msg_id="k") for n in (1, 2)]
        await store.apply([first])

        result = await store.apply([repeat.recalled(7)])

        tombstone = structs.replace(first.recalled(7), seq=1, rev=1)
        assert result.duplicates == {repeat.id: tombstone}
        assert result.rows == (tombstone,)
        assert await store.get([first.id]) == {first.id: tombstone}

    async def test_recall_of_a_repeat_with_another_body_recalls_nothing(
        self, store: MessageStore
    ) -> None:
        first = make_message(1, content="x", client_msg_id="k")
        other = make_message(2, content="y", client_msg_id="k")

        result = await store.apply([first, other.recalled(7)])

        assert result.rows == (
            structs.replace(first, seq=1),
            structs.replace(other.recalled(7), seq=2),
        )


class TestReservedKeys:
    """`first` has reserved the key; nobody knows yet whether `first` will be stored."""

    async def test_are_told_to_whoever_comes_later(self, store: MessageStore) -> None:
        first, repeat = [make_message(n, content="x", client_msg_id="k") for n in (1, 2)]
        other = make_message(3, content="y", client_msg_id="k")
        for _ in range(2):
            assert await store.reserve([first, make_message(9)]) == {}
        record = IdempotencyRecord(first.id, first.body_hash)

        (found,) = (await store.reserve([repeat])).items()
        assert (found, found[1].is_stored) == ((repeat.id, record), False)
        assert await store.reserve([other]) == {}
        for m in (other, first):
            await store.apply([m])
        (found,) = (await store.reserve([repeat])).items()
        assert (found, found[1].is_stored) == ((repeat.id, record), True)
        unknown = make_message(4, content="z", client_msg_id="k")
        assert await store.reserve([unknown]) == {unknown.id: record}
        assert await store.reserve([]) == {}

    async def test_within_a_call_are_the_first_ones(self, store: MessageStore) -> None:
        first, repeat = [make_message(n, content="x", client_msg_id="k") for n in (1, 2)]
        assert await store.reserve([first, repeat]) == {
            repeat.id: IdempotencyRecord(first.id, first.body_hash)
        }

    @pytest.mark.parametrize("recalled", [None, 0, 1, 2])
    @pytest.mark.parametrize(
        "batches",
        [
            *itertools.permutations([(0,), (1,), (2,)]),
            *itertools.permutations([(0, 1), (2,)]),
            *itertools.permutations([(1, 2), (0,)]),
            [(0, 1, 2)],
            [(1, 2)],
            [(2,), (1,)],
            [(0,)],
        ],
    )
    async def test_lose_no_message_in_whatever_order_they_arrive(
        self, store: MessageStore, batches: Sequence[Sequence[int]], recalled: int | None
    ) -> None:
        first, *repeats = [make_message(n, content="x", client_msg_id="k") for n in (2, 1, 3)]
        attempts = [first, *repeats]
        await store.reserve([first])
        arrived = [number for batch in batches for number in batch]

        for batch in [*batches, *([] if recalled is None else [None])]:
            numbers = batch if batch is not None else [recalled or 0]
            states = [attempts[n].recalled(7) if batch is None else attempts[n] for n in numbers]
            await store.apply(states)
        await store.apply([attempts[n] for n in arrived])

        if recalled is not None and recalled not in arrived:
            arrived.append(recalled)
        ids = [attempts[n].id for n in arrived]
        found = await store.find(ids)
        (row,) = {row.id: row for row in found.values()}.values()
        assert set(found) == set(ids)
        assert row.id in ids
        assert row.is_recalled == (recalled is not None)
        assert (await store.tail("1_2", limit=9)).rows == (row,)
        assert first.send_key is not None
        (record,) = (await store.find_idempotency_records([first.send_key])).values()
        assert (record.message_id, record.is_stored) == (row.id, True)


class TestADuplicate:
    @pytest.mark.parametrize("reader", [1, 2])
    async def test_hands_its_deletes_to_what_it_is_deduplicated_into(
        self, store: MessageStore, reader: int
    ) -> None:
        """The reader was shown both messages, and deleted the duplicate."""
        first, repeat = (make_message(n, content="x", client_msg_id="k") for n in (1, 2))
        await store.apply([first])
        await store.delete_for_user(reader, [repeat.id], "1_2")
        await store.delete_for_user(3, [first.id + 9], "1_2")

        assert (await store.apply([repeat])).deletes == ((reader, first.id),)
        assert await store.deleted_among(reader, [first.id]) == {first.id}
        assert (await store.apply([repeat])).deletes == ((reader, first.id),)

    async def test_gets_the_deletes_of_an_attempt_whose_key_it_takes_over(
        self, store: MessageStore
    ) -> None:
        """The caller may die before it tells the cache, and its repeat would not find them."""
        deleted, heir = (make_message(n, content="x", client_msg_id="k") for n in (1, 2))
        await store.delete_for_user(2, [deleted.id], "1_2", repeat=deleted)

        assert (await store.apply([heir])).deletes == ((2, heir.id),)
        assert await store.deleted_among(2, [heir.id]) == {heir.id}
        hints = await store.hints(limit=9)
        assert [(hint.message_id, hint.user_id) for hint in hints] == [(heir.id, 2)]
        assert (await store.apply([heir])).deletes == ()
        assert (await store.apply([deleted])).deletes == ((2, heir.id),)
        assert len(await store.hints(limit=9)) == 1

    async def test_that_is_not_sent_yet_takes_the_id_of_an_attempt_that_was_deleted(
        self, store: MessageStore
    ) -> None:
        deleted, repeat = (make_message(n, content="x", client_msg_id="k") for n in (1, 2))
        for _ in range(2):
            hidden = await store.delete_for_user(2, [deleted.id], "1_2", repeat=deleted)
            assert hidden == [deleted.id]
        record = (await store.reserve([repeat]))[repeat.id]
        assert (record.message_id, record.is_stored) == (deleted.id, False)
        assert (await store.apply([deleted])).rows[0].id == deleted.id

    async def test_that_is_deleted_later_is_deleted_where_it_went(
        self, store: MessageStore
    ) -> None:
        first, repeat = (make_message(n, content="x", client_msg_id="k") for n in (1, 2))
        assert await store.delete_for_user(3, [repeat.id], "1_2", repeat=repeat) == [repeat.id]
        await store.apply([first])
        await store.apply([repeat])
        for _ in range(2):
            hidden = await store.delete_for_user(2, [repeat.id], "1_2", repeat=repeat)
            assert hidden == [repeat.id, first.id]

        assert await store.deleted_among(2, [first.id, repeat.id]) == {first.id, repeat.id}
        assert await store.delete_for_user(4, [first.id], "1_2", repeat=first) == [first.id]
        keyless = make_message(3)
        assert await store.delete_for_user(4, [keyless.id], "1_2", repeat=keyless) == [keyless.id]
        assert await store.delete_for_user(5, [repeat.id], "1_2") == [repeat.id]
        assert await store.deleted_among(5, [first.id, repeat.id]) == {repeat.id}
        assert await store.deletes_of(1, limit=9) == Deletes((), floor=0)

    async def test_leads_by_its_id_to_what_it_is_deduplicated_into(
        self, store: MessageStore
    ) -> None:
        first, *repeats = [make_message(n, content="x", client_msg_id="k") for n in (1, 2, 3)]
        other = make_message(4, content="y", client_msg_id="l")
        assert await store.find([first.id, repeats[0].id]) == {}
        await store.apply([first, repeats[0], other])
        (row,) = (await store.apply([repeats[1].recalled(7)])).rows
        for _ in range(2):
            await store.apply(repeats)

        ids = [each.id for each in (first, *repeats)]
        assert await store.find([*ids, make_message(9).id]) == dict.fromkeys(ids, row)
        assert await store.find([repeats[1].id]) == {repeats[1].id: row}
        assert set(await store.find([other.id, repeats[0].id])) == {other.id, repeats[0].id}
        assert await store.get(ids) == {first.id: row}
        assert await store.find([]) == {}
