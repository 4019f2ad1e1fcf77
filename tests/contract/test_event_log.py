"""Test each log: in memory, on Redis Streams and on Kafka, embedded and real."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence

import pytest

from messaging.domain.backend_errors import CommitRefused, LogUnavailable, RecordTooLarge
from messaging.ports.log import POLL_BYTES, LogReader, OutgoingRecord, Position, Record
from tests.contract.conftest import RIGS_OF_SERVERS
from tests.support.logs import PARTITIONS, TIMEOUT_S, LogRig


def record(key: str, value: str | bytes) -> OutgoingRecord:
    return OutgoingRecord(key.encode(), value if isinstance(value, bytes) else value.encode())


def numbered(key: str, numbers: Iterable[int]) -> list[OutgoingRecord]:
    return [record(key, str(number)) for number in numbers]


async def append(rig: LogRig, records: Sequence[OutgoingRecord]) -> list[Position]:
    return list(await asyncio.gather(*await rig.log.append(rig.topic, records)))


async def read(
    reader: LogReader, count: int, *, max_records: int = 100, within_s: float = 60.0
) -> list[Record]:
    """Poll until there are this many records, and check that no more follow."""
    records: list[Record] = []
    deadline = time.monotonic() + within_s
    while len(records) < count and time.monotonic() < deadline:
        records += await reader.poll(max_records=max_records, timeout_s=0.2)
    records += await reader.poll(max_records=max_records, timeout_s=0.1)
    assert len(records) == count
    return records


def values(records: Iterable[Record], key: str | None = None) -> list[bytes | None]:
    return [r.value for r in records if key is None or r.key == key.encode()]


def last_of(records: Iterable[Record]) -> dict[int, Record]:
    return {record.position.partition: record for record in records}


def partitions_of(records: Iterable[Record]) -> set[int]:
    return {record.position.partition for record in records}


class TestAppend:
    async def test_each_future_tells_where_its_records_begin(self, rig: LogRig) -> None:
        positions = await append(rig, [record(f"key {n}", f"value {n}") for n in range(50)])
        reader = rig.reader()
        read_back = {r.value: r.position for r in await read(reader, 50)}
        for number, told in enumerate(positions):
            lies = read_back[f"value {number}".encode()]
            assert (told.topic, told.partition) == (lies.topic, lies.partition)
        alone = [(await append(rig, [record("1_2", str(n))]))[0] for n in range(3)]
        assert alone == [r.position for r in await read(reader, 3)]

    async def test_records_of_a_key_share_a_partition_and_keep_their_order(
        self, rig: LogRig
    ) -> None:
        keys = [f"{n}_{n + 7}" for n in range(20)]
        for number in range(30):
            await append(rig, [record(key, str(number)) for key in keys])
        records = await read(rig.reader(), 600)
        for key in keys:
            assert values(records, key) == [str(number).encode() for number in range(30)]
            assert len(partitions_of(r for r in records if r.key == key.encode())) == 1
        assert len(partitions_of(records)) == PARTITIONS

    async def test_order_is_that_of_the_calls_even_when_none_is_waited_for(
        self, rig: LogRig
    ) -> None:
        futures = []
        for number in range(300):
            futures += await rig.log.append(rig.topic, numbered("1_2", [number]))
            await asyncio.sleep(0)
        await asyncio.gather(*futures)
        records = await read(rig.reader(), 300, max_records=1_000)
        assert values(records) == [str(number).encode() for number in range(300)]

    async def test_order_holds_under_pressure(self, rig: LogRig) -> None:
        """Several callers append more than fits at once; a refused record stays refused."""
        await append(rig, numbered("1_2", [0]))
        sent = [str(number).zfill(2_000).encode() for number in range(1, 501)]
        group = [OutgoingRecord(b"1_2", value) for value in sent]
        calls = []
        while group:
            size = (100, 5, 90, 2)[len(calls) % 4]
            calls.append(asyncio.create_task(rig.log.append(rig.topic, group[:size])))
            group = group[size:]
            for _ in range(len(calls) % 5):
                await asyncio.sleep(0)
        futures = [future for call in calls for future in await call]
        ended = await asyncio.gather(*futures, return_exceptions=True)
        confirmed = [v for v, o in zip(sent, ended, strict=True) if isinstance(o, Position)]
        assert len(confirmed) > 100
        reader = rig.reader()
        found: list[bytes | None] = []
        while not set(confirmed) <= set(found):
            found += values(await reader.poll(max_records=1_000, timeout_s=0.5))
        assert found[1:] == sorted(found[1:], key=lambda value: value or b"")

    async def test_any_bytes_come_back_as_they_were(self, rig: LogRig) -> None:
        wild = [b"", b"\x00", bytes(range(256)), "喂 👩‍👩‍👧 \u202e".encode(), b"x" * 200_000]
        headers = (("trace", b"\x00\xff\x80"), ("empty", b""), ("trace", b"again"), ("名", b"1"))
        for value in wild:
            await append(rig, [OutgoingRecord(b"\x00\xfe key", value, headers)])
        records = await read(rig.reader(), len(wild))
        assert values(records) == wild
        assert {(r.key, r.headers) for r in records} == {(b"\x00\xfe key", headers)}

    async def test_a_record_that_is_too_large_fails_alone(self, rig: LogRig) -> None:
        group = [*numbered("1_2", [1, 2]), record("1_2", b"x" * 2_000_000), *numbered("1_2", [3])]
        futures = await rig.log.append(rig.topic, group)
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        assert isinstance(outcomes[2], RecordTooLarge)
        assert [type(outcomes[n]) for n in (0, 1, 3)] == [Position] * 3
        await append(rig, numbered("1_2", [4]))
        assert values(await read(rig.reader(), 4)) == [b"1", b"2", b"3", b"4"]

    @pytest.mark.alone
    async def test_a_closed_log_refuses_at_once(self, rig: LogRig) -> None:
        await append(rig, numbered("1_2", [1]))
        await rig.log.close()
        await rig.log.close()
        (future,) = await rig.log.append(rig.topic, numbered("1_2", [2]))
        with pytest.raises(LogUnavailable):
            await asyncio.wait_for(future, 0.5)

    async def test_closing_lets_what_is_under_way_end(self, rig: LogRig) -> None:
        await append(rig, numbered("1_2", [0]))
        futures = await rig.log.append(rig.topic, numbered("1_2", range(1, 500)))
        await rig.log.close()
        assert all(future.done() for future in futures)
        confirmed = [future for future in futures if future.exception() is None]
        assert len(confirmed) == 499

    @pytest.mark.alone
    async def test_ping_returns_while_the_log_answers(self, rig: LogRig) -> None:
        await asyncio.wait_for(rig.log.ping(), TIMEOUT_S)


class TestRead:
    @pytest.mark.alone
    async def test_poll_returns_nothing_at_its_timeout(self, rig: LogRig) -> None:
        reader = rig.reader()
        await append(rig, numbered("1_2", [1]))
        await read(reader, 1)
        before = time.monotonic()
        assert await reader.poll(max_records=10, timeout_s=0.3) == []
        assert 0.25 <= time.monotonic() - before < 1.5

    @pytest.mark.alone
    async def test_poll_returns_what_arrives_while_it_waits(self, rig: LogRig) -> None:
        reader = rig.reader()
        await append(rig, numbered("1_2", [1]))
        await read(reader, 1)
        waiting = asyncio.create_task(reader.poll(max_records=10, timeout_s=5))
        await asyncio.sleep(0.2)
        before = time.monotonic()
        await append(rig, numbered("1_2", [2]))
        assert values(await waiting) == [b"2"]
        assert time.monotonic() - before < 1.5

    async def test_poll_returns_no_more_than_asked_for(self, rig: LogRig) -> None:
        await append(rig, [record(f"key {n}", str(n)) for n in range(100)])
        reader = rig.reader()
        records: list[Record] = []
        while len(records) < 100:
            batch = await reader.poll(max_records=7, timeout_s=1)
            assert len(batch) <= 7
            records += batch
        assert {r.value for r in records} == {str(n).encode() for n in range(100)}

    async def test_poll_returns_large_records_a_few_at_a_time(self, rig: LogRig) -> None:
        sent = [b"%d" % n + b"x" * 700_000 for n in range(12)]
        for value in sent:
            await append(rig, [record("1_2", value)])
        reader = rig.reader()
        found: list[bytes] = []
        while len(found) < len(sent):
            batch = [
                value or b"" for value in values(await reader.poll(max_records=100, timeout_s=1))
            ]
            assert sum(map(len, batch)) <= POLL_BYTES
            found += batch
        assert found == sent

    async def test_what_is_committed_is_not_delivered_again(self, rig: LogRig) -> None:
        await append(rig, [record(f"key {n % 9}", str(n)) for n in range(60)])
        first = rig.reader()
        records = await read(first, 60)
        await first.commit(last_of(records))
        await first.close()
        await append(rig, numbered("key 1", [60]))
        assert values(await read(rig.reader(), 1)) == [b"60"]

    async def test_what_is_not_committed_is_delivered_again(self, rig: LogRig) -> None:
        await append(rig, numbered("1_2", range(10)))
        first = rig.reader()
        records = await read(first, 10)
        await first.commit(last_of(records[:4]))
        await first.close()
        assert values(await read(rig.reader(), 6)) == [str(n).encode() for n in range(4, 10)]

    async def test_committing_an_earlier_record_later_changes_nothing(self, rig: LogRig) -> None:
        await append(rig, numbered("1_2", range(10)))
        first = rig.reader()
        records = await read(first, 10)
        await first.commit(last_of(records[:8]))
        await first.commit(last_of(records[:3]))
        await first.close()
        assert values(await read(rig.reader(), 2)) == [b"8", b"9"]

    async def test_partitions_are_committed_each_for_itself(self, rig: LogRig) -> None:
        await append(rig, [record(f"key {n}", str(n)) for n in range(40)])
        first = rig.reader()
        records = await read(first, 40)
        one = records[0].position.partition
        await first.commit({one: last_of(records)[one]})
        await first.close()
        again = await read(rig.reader(), sum(r.position.partition != one for r in records))
        assert partitions_of(again) == partitions_of(records) - {one}

    async def test_a_record_that_was_never_delivered_cannot_be_committed(self, rig: LogRig) -> None:
        (position,) = await append(rig, numbered("1_2", [1]))
        reader = rig.reader()
        with pytest.raises(CommitRefused):
            await reader.commit({position.partition: Record(position, b"1_2", b"1")})
        await read(reader, 1)

    async def test_rewind_delivers_again_what_is_not_committed(self, rig: LogRig) -> None:
        await append(rig, [record(f"key {n % 9}", str(n)) for n in range(60)])
        reader = rig.reader()
        records = await read(reader, 60)
        half = last_of(records[:30])
        await reader.commit(half)
        after = {(r.position, r.value) for r in records} - {
            (r.position, r.value)
            for p, last in half.items()
            for r in records[: records.index(last) + 1]
            if r.position.partition == p
        }
        for _ in range(2):
            await reader.rewind()
            again = await read(reader, len(after))
            assert {(r.position, r.value) for r in again} == after
        await reader.commit(last_of(again))

    async def test_rewind_forgets_what_was_fetched_ahead(self, rig: LogRig) -> None:
        await append(rig, numbered("1_2", range(50)))
        reader = rig.reader()
        records: list[Record] = []
        while len(records) < 10:
            records += await reader.poll(max_records=5, timeout_s=1)
        await reader.rewind()
        assert values(await read(reader, 50)) == [str(n).encode() for n in range(50)]

    async def test_a_cancelled_poll_leaves_its_records_to_the_next(self, rig: LogRig) -> None:
        reader = rig.reader()
        await append(rig, numbered("1_2", [0]))
        found = await read(reader, 1)
        for number in range(1, 41):
            polling = asyncio.create_task(reader.poll(max_records=10, timeout_s=1))
            await asyncio.sleep(0)
            await append(rig, numbered("1_2", [number]))
            await asyncio.sleep(number % 4 / 1_000)
            polling.cancel()
            (outcome,) = await asyncio.gather(polling, return_exceptions=True)
            found += [] if isinstance(outcome, BaseException) else outcome
        found += await read(reader, 41 - len(found))
        assert values(found) == [str(n).encode() for n in range(41)]

    async def test_a_closed_reader_says_so(self, rig: LogRig) -> None:
        reader = rig.reader()
        await append(rig, numbered("1_2", [0]))
        await read(reader, 1)
        await reader.close()
        await reader.close()
        with pytest.raises(LogUnavailable):
            await reader.poll(max_records=10, timeout_s=0.1)

    async def test_a_reader_that_was_never_used_closes(self, rig: LogRig) -> None:
        await rig.reader().close()


class Sharing:
    """Poll several readers at the same time, as that many processes would."""

    def __init__(self, rig: LogRig, *readers: LogReader) -> None:
        self.rig = rig
        self.readers = list(readers)
        self.seen: dict[LogReader, list[Record]] = {reader: [] for reader in readers}

    async def poll_all(self, *, commit: bool = True) -> None:
        batches = await asyncio.gather(
            *(reader.poll(max_records=100, timeout_s=0.1) for reader in self.readers)
        )
        for reader, batch in zip(self.readers, batches, strict=True):
            self.seen[reader] += batch
            if commit:
                await committed(reader, batch)

    async def settle(self, *, within_s: float) -> dict[LogReader, set[int]]:
        """Poll until each partition has one owner and each reader owns one; return all owners."""
        deadline = time.monotonic() + within_s
        while True:
            await self.poll_all()
            for records in self.seen.values():
                records.clear()
            await append(self.rig, [record(f"key {n}", "where am I") for n in range(40)])
            for _ in range(3):
                await self.poll_all()
            owned = {reader: partitions_of(records) for reader, records in self.seen.items()}
            total = sum(len(records) for records in self.seen.values())
            if all(owned.values()) and total == 40:
                return owned
            assert time.monotonic() < deadline, f"no fair share in time: {list(owned.values())}"


class TestGroup:
    async def test_readers_share_the_partitions_and_never_two_own_one(self, rig: LogRig) -> None:
        sharing = Sharing(rig, rig.reader(), rig.reader())
        first, second = (await sharing.settle(within_s=30)).values()
        assert not first & second
        assert first | second == set(range(PARTITIONS))
        assert {len(first), len(second)} == {PARTITIONS // 2}

    @pytest.mark.alone
    async def test_a_reader_that_leaves_hands_its_partitions_over_at_once(
        self, rig: LogRig
    ) -> None:
        leaving, staying = rig.reader(), rig.reader()
        sharing = Sharing(rig, leaving, staying)
        await sharing.settle(within_s=30)
        await leaving.close()
        left = time.monotonic()
        await append(rig, [record(f"key {n}", str(n)) for n in range(40)])
        found: set[bytes | None] = set()
        while len(found) < 40:
            found |= set(values(await staying.poll(max_records=100, timeout_s=0.2)))
            assert time.monotonic() - left < 4

    async def test_another_reader_takes_over_from_a_silent_one(self, rig: LogRig) -> None:
        """The silent process lives, but neither polls nor keeps alive."""
        silent = rig.reader()
        await append(rig, [record(f"key {n}", str(n)) for n in range(40)])
        held = await read(silent, 40)
        successor = rig.reader()
        assert {r.value for r in await read(successor, 40)} == {r.value for r in held}
        with pytest.raises(CommitRefused):
            await silent.commit(last_of(held))
        await successor.rewind()
        # The records that the silent reader tried to commit are not committed.
        await read(successor, 40)

    async def test_a_batch_from_before_the_partition_moved_cannot_be_committed_after_it_came_back(
        self, rig: LogRig
    ) -> None:
        silent = rig.reader()
        await append(rig, numbered("1_2", range(10)))
        held = await read(silent, 10)
        interim = rig.reader()
        await interim.commit(last_of((await read(interim, 10))[:6]))
        await interim.close()
        await append(rig, numbered("1_2", range(10, 12)))
        assert values(await read(silent, 6)) == [str(n).encode() for n in range(6, 12)]
        # Behind the position that the other reader has committed.
        await silent.commit(last_of(held[:3]))
        await silent.rewind()
        assert values(await read(silent, 6)) == [str(n).encode() for n in range(6, 12)]

    async def test_keep_alive_keeps_the_partitions_while_a_batch_is_held(self, rig: LogRig) -> None:
        holder, other = rig.reader(), rig.reader()
        await append(rig, [record(f"key {n}", str(n)) for n in range(20)])
        held = await read(holder, 20, max_records=50)
        deadline = time.monotonic() + 3 * rig.max_poll_interval_s
        while time.monotonic() < deadline:
            await append(rig, [record("key 1", "meanwhile")])
            await holder.keep_alive()
            await asyncio.sleep(rig.max_poll_interval_s / 5)
        await holder.commit(last_of(held))
        found = await holder.poll(max_records=1_000, timeout_s=1)
        assert set(values(found)) == {b"meanwhile"}
        await holder.commit(last_of(found))
        await other.close()

    async def test_nothing_that_arrives_while_a_batch_is_held_is_lost(self, rig: LogRig) -> None:
        holder = rig.reader()
        await append(rig, numbered("1_2", [0]))
        await read(holder, 1)
        for number in range(1, 21):
            await append(rig, numbered("1_2", [number]))
            await holder.keep_alive()
        found = await read(holder, 20)
        assert values(found) == [str(n).encode() for n in range(1, 21)]

    async def test_a_refused_commit_has_its_records_delivered_again(self, rig: LogRig) -> None:
        first = rig.reader()
        await append(rig, [record(f"key {n}", str(n)) for n in range(40)])
        held = await read(first, 40)
        second = rig.reader()
        sharing = Sharing(rig, first, second)
        deadline = time.monotonic() + 20
        while not sharing.seen[second] and time.monotonic() < deadline:
            await sharing.poll_all(commit=False)
        refused = set(values(held)) - await committed(first, held)
        assert refused
        again: set[bytes | None] = set()
        while not refused <= again and time.monotonic() < deadline:
            await sharing.poll_all(commit=False)
            again = {r.value for records in sharing.seen.values() for r in records}
        assert refused <= again

    async def test_nothing_is_lost_while_readers_come_and_go(self, rig: LogRig) -> None:
        """Each reader commits a batch after it has polled the next, so many commits are refused."""
        expected = {f"{step} {n}".encode() for step in range(8) for n in range(50)}
        done: set[bytes | None] = set()
        held: dict[LogReader, list[Record]] = {rig.reader(): []}
        for step in range(8):
            await append(rig, [record(f"key {n}", f"{step} {n}") for n in range(50)])
            if step % 2 == 0:
                held[rig.reader()] = []
            else:
                await (leaver := next(iter(held))).close()
                del held[leaver]
            for _ in range(5):
                done |= await poll_then_commit(held, max_records=7)
        deadline = time.monotonic() + 20
        while done != expected and time.monotonic() < deadline:
            done |= await poll_then_commit(held, max_records=100)
        assert done == expected


async def poll_then_commit(
    held: dict[LogReader, list[Record]], *, max_records: int
) -> set[bytes | None]:
    """Poll each reader, commit the batch that it held before, and return the committed values."""
    polls = [reader.poll(max_records=max_records, timeout_s=0.2) for reader in held]
    batches = dict(zip(held, await asyncio.gather(*polls), strict=True))
    done = [await committed(reader, before) for reader, before in held.items()]
    held.update(batches)
    return set().union(*done)


async def committed(reader: LogReader, batch: Sequence[Record]) -> set[bytes | None]:
    done: set[bytes | None] = set()
    for partition, last in last_of(batch).items():
        try:
            await reader.commit({partition: last})
        except CommitRefused:
            continue  # the partition is another reader's now
        done |= {r.value for r in batch if r.position.partition == partition}
    return done


@pytest.mark.alone
@pytest.mark.parametrize("rig", RIGS_OF_SERVERS, indirect=True)
async def test_another_reader_takes_over_from_a_killed_process(rig: LogRig) -> None:
    await append(rig, [record(f"key {n}", str(n)) for n in range(40)])
    process = await rig.reader_process()
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 30)
    finally:
        process.kill()
        await process.wait()
    died = time.monotonic()
    assert len(await read(rig.reader(), 40)) == 40
    assert time.monotonic() - died < rig.missed_after_s + 4
