"""What every message store promises: in memory, and the database of the settings in force."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from messaging import models
from messaging.conf import settings as messaging_settings
from messaging.domain.errors import BadData, StoreUnavailable
from messaging.domain.events import Message
from messaging.ports.cached import Claim
from messaging.ports.log import Position
from messaging.ports.store import (
    ApplyResult,
    Arrear,
    DeadLetter,
    DeadLetterState,
    Deletes,
    MessageStore,
    Tail,
)
from messaging.store import DatabaseStore
from messaging.testing.store import MemoryStore
from tests.support.messages import FIRST_ID, join_all, make_message

database = pytest.param("database", marks=pytest.mark.django_db(transaction=True))


@pytest.fixture(params=["memory", database])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[MessageStore]:
    opened = MemoryStore() if request.param == "memory" else DatabaseStore(messaging_settings())
    yield opened
    await opened.close()


async def applied(store: MessageStore, messages: Sequence[Message]) -> ApplyResult:
    """Apply as the consumer does: again, for as long as the store is unavailable."""
    for _ in range(50):
        try:
            return await store.apply(messages)
        except StoreUnavailable:
            await asyncio.sleep(0.02)
    raise AssertionError("the store stays unavailable")


def without_seq(messages: Sequence[Message]) -> list[Message]:
    return [structs.replace(message, seq=None) for message in messages]


class TestApply:
    async def test_numbers_new_messages_of_a_conversation_in_order_of_id(
        self, store: MessageStore
    ) -> None:
        messages = [make_message(n) for n in range(5)] + [make_message(9, to_id=3)]

        result = await store.apply(messages[::-1])

        assert [(row.id - FIRST_ID, row.seq) for row in result.rows] == [
            *((0, 1), (1, 2), (2, 3), (3, 4), (4, 5)),
            (9, 1),
        ]
        assert await store.get([m.id for m in messages]) == {row.id: row for row in result.rows}

    async def test_goes_on_numbering_where_it_stopped(self, store: MessageStore) -> None:
        await store.apply([make_message(5)])

        (row,) = (await store.apply([make_message(3)])).rows

        assert row.seq == 2  # late, and before nobody

    async def test_changes_nothing_when_repeated(self, store: MessageStore) -> None:
        messages = [make_message(n, client_msg_id=f"k{n}") for n in range(3)]

        first = await store.apply(messages)
        again = await store.apply([*messages, make_message(3)])

        assert again.rows[:3] == first.rows
        assert again.rows[3].seq == 4
        assert not again.folded
        assert not again.conflicts

    async def test_of_nothing_is_nothing(self, store: MessageStore) -> None:
        assert await store.apply([]) == ApplyResult()

    async def test_keeps_every_field(self, store: MessageStore) -> None:
        message = make_message(
            1, url="https://e.org/ü?x=%s&y='\"\\", at_user_ids=(3, 2**63 - 1), client_msg_id="k"
        )

        await store.apply([message])

        assert await store.get([message.id]) == {message.id: structs.replace(message, seq=1)}

    @pytest.mark.parametrize(
        "content",
        [
            "👩‍👩‍👧‍👦🏴󠁧󠁢󠁷󠁬󠁳󠁿",
            "e\u0301 against \u00e9",
            "\u202eright to left\u202c שלום",
            "  kept  \t\r\n",
            "%s %% ? :x ' \" \\ \\0 ` -- ; \x1a \x7f",
            "NUL \x00 inside",
            "\U0010ffff\ufffe",
            "𝒳" * 5_000,
        ],
    )
    async def test_returns_text_byte_for_byte(self, store: MessageStore, content: str) -> None:
        message = make_message(1, content=content)

        await store.apply([message])

        assert (await store.get([message.id]))[message.id].content.encode() == content.encode()

    async def test_refuses_a_batch_with_a_content_that_is_too_long(
        self, store: MessageStore
    ) -> None:
        good, bad = make_message(1, client_msg_id="k"), make_message(2, content="x" * 5_001)

        with pytest.raises(BadData):
            await store.apply([good, bad])

        assert await store.get([good.id, bad.id]) == {}
        assert await store.find_claims([(1, "k", good.body_hash)]) == {}
        (row,) = (await store.apply([good])).rows
        assert row.seq == 1

    async def test_overwrites_nothing_when_an_id_belongs_to_another_message(
        self, store: MessageStore
    ) -> None:
        first = make_message(1, client_msg_id="k")
        foreign = [
            structs.replace(first, from_user_id=8),
            structs.replace(first, conversation_id="8_9"),
            structs.replace(first, send_time=first.send_time + 1),
            structs.replace(first, client_msg_id="l"),
            structs.replace(first, body_hash="0" * 32).recalled(5),
            structs.replace(first, client_msg_id=None).recalled(5),
        ]
        stored = (await store.apply([first])).rows

        for other in foreign:
            result = await store.apply([other, make_message(7)])
            assert result.conflicts == (other,)
            assert [row.id for row in result.rows] == [make_message(7).id]

        assert (await store.get([first.id]))[first.id] == stored[0]
        assert await store.find_claims([(8, "k", first.body_hash), (1, "l", first.body_hash)]) == {}
        assert (await store.tail("1_2", limit=9)).total == 2
        assert await store.tail("8_9", limit=9) == Tail((), 0)


class TestRecall:
    async def test_takes_the_content_and_leaves_the_place(self, store: MessageStore) -> None:
        message = make_message(1, url="/a.png", at_user_ids=(5,), client_msg_id="k")
        await store.apply([message, make_message(2)])

        (row,) = (await store.apply([message.recalled(77)])).rows

        assert row == structs.replace(message.recalled(77), seq=1)
        assert (await store.get([message.id]))[message.id] == row

    async def test_before_its_message_gets_a_place_and_is_not_undone(
        self, store: MessageStore
    ) -> None:
        message = make_message(1, client_msg_id="k")

        (tombstone,) = (await store.apply([message.recalled(77)])).rows
        (row,) = (await store.apply([message])).rows

        assert tombstone == row == structs.replace(message.recalled(77), seq=1)
        key = (1, "k", message.body_hash)
        assert await store.find_claims([key]) == {key: Claim(message.id, message.body_hash)}

    async def test_said_twice_keeps_the_earlier_time(self, store: MessageStore) -> None:
        message = make_message(1)
        for recall_time in (80, 70, 90):
            await store.apply([message.recalled(recall_time)])

        assert (await store.get([message.id]))[message.id].recall_time == 70

    async def test_stores_no_content_of_a_tombstone_that_has_some(
        self, store: MessageStore
    ) -> None:
        message = make_message(1)
        strange = structs.replace(message.recalled(7), content="secret", url="/secret")

        await store.apply([strange])
        await store.apply([strange, make_message(2)])

        assert (await store.get([message.id]))[message.id] == structs.replace(
            message.recalled(7), seq=1
        )


class TestKeys:
    async def test_fold_a_repeat_into_the_first_send(self, store: MessageStore) -> None:
        first, repeat = (make_message(n, content="x", client_msg_id="k") for n in (1, 2))
        (row,) = (await store.apply([first])).rows

        for _ in range(2):
            result = await store.apply([repeat, make_message(3)])
            assert result.folded == {repeat.id: row}
            assert [r.id for r in result.rows] == [make_message(3).id]

        assert await store.get([repeat.id]) == {}
        assert (await store.tail("1_2", limit=9)).total == 2

    async def test_fold_within_a_batch_into_the_smallest_id(self, store: MessageStore) -> None:
        first, *repeats = [make_message(n, content="x", client_msg_id="k") for n in (1, 2, 3)]

        result = await store.apply([*repeats, first])

        assert result.rows == (structs.replace(first, seq=1),)
        assert result.folded == {repeat.id: structs.replace(first, seq=1) for repeat in repeats}

    async def test_of_another_body_are_of_another_message(self, store: MessageStore) -> None:
        first = make_message(1, content="one", client_msg_id="k")
        other = make_message(2, to_id=3, content="another", client_msg_id="k")
        third = make_message(3, content="third", client_msg_id="k")
        repeats = [structs.replace(m, id=m.id + 9) for m in (first, other, third)]

        rows = [row for m in (other, first) for row in (await store.apply([m])).rows]
        assert [row.id for row in rows] == [other.id, first.id]
        for _ in range(2):
            result = await store.apply([*repeats, third])
            assert {i: row.id for i, row in result.folded.items()} == {
                repeat.id: m.id for repeat, m in zip(repeats, (first, other, third), strict=True)
            }
        assert (await store.tail("1_3", limit=9)).total == 1
        assert (await store.tail("1_2", limit=9)).total == 2
        keys = [(1, "k", m.body_hash) for m in (first, other)]
        unknown = (1, "k", "f" * 32)
        assert await store.find_claims([*keys, unknown]) == {
            keys[0]: Claim(first.id, first.body_hash),
            keys[1]: Claim(other.id, other.body_hash),
            unknown: Claim(first.id, first.body_hash),
        }

    async def test_are_a_senders_own_and_compared_byte_for_byte(self, store: MessageStore) -> None:
        keys = ["abc", "ABC", "abc ", "abc  ", " abc", "abc\x7f", "a" * 64]
        messages = [make_message(n, client_msg_id=key) for n, key in enumerate(keys)]
        messages.append(make_message(90, from_user_id=2, to_id=1, client_msg_id="abc"))

        result = await store.apply(messages)

        assert not result.folded
        assert len(result.rows) == len(messages)
        sends = [m.send_key for m in messages if m.send_key is not None]
        assert await store.find_claims(sends) == {
            m.send_key: Claim(m.id, m.body_hash) for m in messages
        }
        strange = [(1, "àbc"), (3, "abc"), (1, "")]
        assert await store.find_claims([(*name, sends[0][2]) for name in strange]) == {}

    async def test_recall_of_a_repeat_recalls_the_first_send(self, store: MessageStore) -> None:
        first, repeat = [make_message(n, content="x", client_msg_id="k") for n in (1, 2)]
        await store.apply([first])

        result = await store.apply([repeat.recalled(7)])

        tombstone = structs.replace(first.recalled(7), seq=1)
        assert result.folded == {repeat.id: tombstone}
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
    """`first` has reserved the key; whether it arrives, nobody knows."""

    async def test_are_told_to_whoever_comes_later(self, store: MessageStore) -> None:
        first, repeat = [make_message(n, content="x", client_msg_id="k") for n in (1, 2)]
        other = make_message(3, content="y", client_msg_id="k")
        for _ in range(2):
            assert await store.reserve([first, make_message(9)]) == {}
        claim = Claim(first.id, first.body_hash)

        (found,) = (await store.reserve([repeat])).items()
        assert (found, found[1].is_stored) == ((repeat.id, claim), False)
        assert await store.reserve([other]) == {}
        for m in (other, first):
            await store.apply([m])
        (found,) = (await store.reserve([repeat])).items()
        assert (found, found[1].is_stored) == ((repeat.id, claim), True)
        unknown = make_message(4, content="z", client_msg_id="k")
        assert await store.reserve([unknown]) == {unknown.id: claim}
        assert await store.reserve([]) == {}

    async def test_within_a_call_are_the_first_ones(self, store: MessageStore) -> None:
        first, repeat = [make_message(n, content="x", client_msg_id="k") for n in (1, 2)]
        assert await store.reserve([first, repeat]) == {repeat.id: Claim(first.id, first.body_hash)}

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
        (claim,) = (await store.find_claims([first.send_key])).values()
        assert (claim.message_id, claim.is_stored) == (row.id, True)


class TestReading:
    async def test_pages_are_newest_first_without_holes(self, store: MessageStore) -> None:
        messages = [make_message(n) for n in range(7)]
        await store.apply([*messages, make_message(100, to_id=3)])

        walked: list[Message] = []
        while page := await store.page("1_2", before=walked[-1].id if walked else None, limit=3):
            walked += page

        assert without_seq(walked) == messages[::-1]
        assert [m.seq for m in walked] == [7, 6, 5, 4, 3, 2, 1]

    async def test_a_tail_has_the_newest_rows_and_counts_all(self, store: MessageStore) -> None:
        messages = [make_message(n) for n in range(4)]
        await store.apply([*messages[:3], messages[3].recalled(7)])

        tail = await store.tail("1_2", limit=2)

        assert [m.id for m in tail.rows] == [messages[3].id, messages[2].id]
        assert tail.total == 4
        assert await store.tail("5_6", limit=2) == Tail((), 0)

    async def test_nothing_is_found_of_nothing(self, store: MessageStore) -> None:
        assert await store.get([]) == {}
        assert await store.find_claims([]) == {}
        assert await store.deleted_among(1, []) == set()


class TestPassing:
    async def test_the_nth_visible_row_below_an_id(self, store: MessageStore) -> None:
        await store.apply([make_message(n) for n in range(10)])
        await store.apply([make_message(n, to_id=3) for n in range(20, 25)])
        for number in (7, 5):
            await store.delete_for_user(1, FIRST_ID + number)
        await store.delete_for_user(2, FIRST_ID + 8)

        async def nth(count: int, *, reader_id: int = 1, before: int = 9) -> int | None:
            found = await store.nth_visible(
                "1_2", reader_id=reader_id, before=FIRST_ID + before, count=count
            )
            return None if found is None else found - FIRST_ID

        assert [await nth(count) for count in range(1, 9)] == [8, 6, 4, 3, 2, 1, 0, None]
        assert [await nth(count, reader_id=2) for count in (1, 2, 8, 9)] == [7, 6, 0, None]
        assert await nth(1, before=0) is None
        assert await nth(1, before=100) == 9


class TestDeletes:
    async def test_hide_a_message_that_is_not_stored_yet(self, store: MessageStore) -> None:
        for _ in range(2):
            await store.delete_for_user(1, FIRST_ID)

        assert await store.deleted_among(1, [FIRST_ID, FIRST_ID + 1]) == {FIRST_ID}
        assert await store.deleted_among(2, [FIRST_ID]) == set()

    async def test_are_told_newest_first_with_the_id_they_are_complete_above(
        self, store: MessageStore
    ) -> None:
        for message_id in (5, 3, 8):
            await store.delete_for_user(1, message_id)

        assert await store.deletes_of(1, limit=3) == Deletes((8, 5, 3), floor=0)
        assert await store.deletes_of(1, limit=2) == Deletes((8, 5), floor=3)
        assert await store.deletes_of(2, limit=2) == Deletes((), floor=0)


async def takes(store: MessageStore, node: int, owner: str, ttl_s: float) -> bool:
    return await store.take_worker(node, owner, ttl_s, now_ms=0, until_ms=0) is not None


class TestLeases:
    async def test_have_one_owner_who_may_renew(self, store: MessageStore) -> None:
        assert await takes(store, 1, "one", 30)
        assert not await takes(store, 1, "other", 30)
        assert await takes(store, 1, "one", 30)
        assert await takes(store, 2, "other", 30)

    async def test_run_out(self, store: MessageStore) -> None:
        assert await takes(store, 1, "one", 0.2)
        assert not await takes(store, 1, "other", 30)
        await asyncio.sleep(0.25)
        assert await takes(store, 1, "other", 30)
        assert not await takes(store, 1, "one", 30)

    async def test_of_worker_ids_are_not_used_again_for_the_same_times(
        self, store: MessageStore
    ) -> None:
        now_ms, until_ms = 1_800_000_000_000, 1_800_000_600_000
        for _ in range(2):
            assert await store.take_worker(30, "a", 0.05, now_ms=now_ms, until_ms=until_ms) == 0
        assert await store.take_worker(30, "b", 9, now_ms=until_ms, until_ms=until_ms) is None
        await asyncio.sleep(0.1)

        assert await store.take_worker(30, "b", 9, now_ms=until_ms - 1, until_ms=until_ms) is None
        taken = await store.take_worker(30, "b", 9, now_ms=until_ms, until_ms=until_ms + 1)
        assert taken == until_ms
        assert await store.take_worker(30, "b", 9, now_ms=0, until_ms=until_ms + 2) == 0

    async def test_are_won_by_one_of_many(self, store: MessageStore) -> None:
        taken = await asyncio.gather(*(takes(store, 1, f"o{n}", 30) for n in range(8)))
        assert sum(taken) == 1


async def test_dead_letters_are_kept_whatever_is_in_them(store: MessageStore) -> None:
    letter = DeadLetter(
        *("im-message-private", 0, "7", b"\x00\xff'", bytes(range(256)) * 4_096),
        *("reason" * 50, "\ud800 é 👩‍👩‍👧‍👦" * 1_000),
    )
    for _ in range(2):
        await store.save_dead_letters([letter, replace(letter, offset="8")])
    await store.save_dead_letters([])


async def test_dead_letters_are_settled_once_known_and_not_reopened(store: MessageStore) -> None:
    letter = DeadLetter("im-message-private", 0, "7", b"k", b"v", "unreadable", "not JSON")
    other = replace(letter, offset="8")
    await store.save_dead_letters([letter, other])

    for _ in range(2):
        await store.settle_dead_letters(
            [letter.source, replace(letter, partition=1).source], DeadLetterState.REPLAYED
        )
    await store.settle_dead_letters([], DeadLetterState.DISCARDED)
    await store.save_dead_letters([letter])

    assert await _dead_letter_states(store) == {
        letter.source: DeadLetterState.REPLAYED,
        other.source: DeadLetterState.OPEN,
    }


async def _dead_letter_states(store: MessageStore) -> dict[Position, DeadLetterState]:
    if isinstance(store, MemoryStore):
        return {
            letter.source: store.settled.get(letter.source, DeadLetterState.OPEN)
            for letter in store.dead_letters
        }
    return {
        Position(letter.topic, letter.partition, letter.offset): DeadLetterState(letter.state)
        async for letter in models.DeadLetter.objects.all()
    }


async def test_a_store_answers_a_ping_and_closes_twice(store: MessageStore) -> None:
    await store.ping()
    await store.close()


# --- order, repeats, omissions, writers side by side ----------------------------------------


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Message], list[list[Message]]]:
    """All states of a few messages, and batches that bring them in any order, split and number.

    What the batches leave out comes last, as compensation brings it.
    """
    states: list[Message] = []
    for number in range(draw(st.integers(1, 5))):
        message = make_message(number, to_id=draw(st.sampled_from([2, 3])))
        states.append(message)
        recall_times = draw(st.lists(st.integers(1, 9), max_size=2))
        states += [message.recalled(time) for time in recall_times]
    brought = draw(st.lists(st.sampled_from(states), max_size=3 * len(states)))
    batches: list[list[Message]] = [[]]
    for state in brought:
        if draw(st.booleans()):
            batches.append([])
        batches[-1].append(state)
    omitted = [state for state in states if state not in brought]
    return states, [*batches, draw(st.permutations(omitted))]


series = itertools.count()


@given(history=histories(), deletes=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4))))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_any_order_repeat_and_omission_ends_in_the_join(
    store: MessageStore,
    history: tuple[list[Message], list[list[Message]]],
    deletes: list[tuple[int, int]],
) -> None:
    shift = next(series) * 1_000  # every example has conversations of its own
    states, batches = ([moved(m, shift) for m in history[0]], history[1])
    seqs: dict[int, int | None] = {}

    for number, batch in enumerate(batches):
        for user_id, message in deletes[number :: len(batches)]:
            await store.delete_for_user(user_id + shift, FIRST_ID + shift + message)
        for row in (await applied(store, join_all([moved(m, shift) for m in batch]))).rows:
            assert seqs.setdefault(row.id, row.seq) == row.seq  # once given, it stays

    expected = join_all(states)
    for conversation_id in {message.conversation_id for message in states}:
        mine = [m for m in expected if m.conversation_id == conversation_id]
        tail = await store.tail(conversation_id, limit=100)
        assert without_seq(tail.rows[::-1]) == mine
        assert sorted(m.seq or 0 for m in tail.rows) == list(range(1, len(mine) + 1))
        assert tail.total == len(mine)
    for user_id in (1, 2, 3):
        hidden = await store.deleted_among(user_id + shift, [m.id for m in expected])
        said = {FIRST_ID + shift + message for user, message in deletes if user == user_id}
        assert hidden == said & {m.id for m in expected}


def moved(message: Message, shift: int) -> Message:
    from_user_id, to_id = message.from_user_id + shift, message.to_id + shift
    return structs.replace(
        message,
        id=message.id + shift,
        from_user_id=from_user_id,
        to_id=to_id,
        conversation_id=f"{from_user_id}_{to_id}",
    )


async def test_writers_side_by_side_leave_no_gap_no_double_and_no_loss(
    store: MessageStore,
) -> None:
    shuffle = random.Random(7)
    messages = [
        make_message(n, to_id=2 + n % 5, client_msg_id=f"key {n}" if n % 3 else None)
        for n in range(300)
    ]
    states = [*messages, *(m.recalled(9) for m in messages[::4])]

    async def write() -> None:
        mine = shuffle.sample(states, k=len(states))
        for start in range(0, len(mine), 40):
            await applied(store, join_all(mine[start : start + 40]))

    await asyncio.gather(*(write() for _ in range(6)))

    expected = join_all(states)
    for to_id in range(2, 7):
        mine = [m for m in expected if m.to_id == to_id]
        tail = await store.tail(f"1_{to_id}", limit=1_000)
        assert without_seq(tail.rows[::-1]) == mine
        assert sorted(m.seq or 0 for m in tail.rows) == list(range(1, len(mine) + 1))
        assert tail.total == len(mine)


class TestAFoldedMessage:
    @pytest.mark.parametrize("reader", [1, 2])
    async def test_hands_its_deletes_to_what_it_is_folded_into(
        self, store: MessageStore, reader: int
    ) -> None:
        """The reader was shown both, and deleted the one that goes."""
        first, repeat = (make_message(n, content="x", client_msg_id="k") for n in (1, 2))
        await store.apply([first])
        await store.delete_for_user(reader, repeat.id)
        await store.delete_for_user(3, first.id + 9)

        assert (await store.apply([repeat])).deletes == ((reader, first.id),)
        assert await store.deleted_among(reader, [first.id]) == {first.id}
        assert (await store.apply([repeat])).deletes == ((reader, first.id),)

    async def test_that_is_deleted_later_is_deleted_where_it_went(
        self, store: MessageStore
    ) -> None:
        first, repeat = (make_message(n, content="x", client_msg_id="k") for n in (1, 2))
        assert await store.delete_owner(2, repeat) is None
        await store.apply([first])
        await store.apply([repeat])
        for _ in range(2):
            assert await store.delete_owner(2, repeat) == first.id

        assert await store.deleted_among(2, [first.id, repeat.id]) == {first.id}
        assert await store.delete_owner(2, first) is None
        assert await store.delete_owner(2, make_message(3)) is None
        assert await store.deletes_of(1, limit=9) == Deletes((), floor=0)

    async def test_leads_by_its_id_to_what_it_is_folded_into(self, store: MessageStore) -> None:
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


class TestArrears:
    async def test_are_told_until_they_are_dropped(self, store: MessageStore) -> None:
        await store.note_arrears([Arrear(3), Arrear(1, user_id=7)])
        await store.note_arrears([Arrear(2)])

        noted = await store.arrears(limit=2)
        assert [(a.message_id, a.user_id) for a in noted] == [(3, None), (1, 7)]
        await store.drop_arrears(noted)
        await store.drop_arrears(noted)
        assert [a.message_id for a in await store.arrears(limit=9)] == [2]

    async def test_are_noted_with_the_rows(self, store: MessageStore) -> None:
        first, repeat = (make_message(n, content="x", client_msg_id="k") for n in (1, 2))
        await store.apply([first])
        assert await store.arrears(limit=9) == []
        await store.apply([repeat, make_message(3)], owed=True)

        noted = {arrear.message_id for arrear in await store.arrears(limit=9)}
        assert noted == {first.id, make_message(3).id}

    async def test_noted_again_meanwhile_stay(self, store: MessageStore) -> None:
        await store.note_arrears([Arrear(1)])
        noted = await store.arrears(limit=9)
        await store.note_arrears([Arrear(1)])
        await store.drop_arrears(noted)

        assert [a.message_id for a in await store.arrears(limit=9)] == [1]
