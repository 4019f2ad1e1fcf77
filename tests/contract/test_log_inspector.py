"""Test each log inspector: in memory, on Redis Streams and on Kafka."""

from __future__ import annotations

import asyncio

import pytest

from messaging.domain.backend_errors import LogUnavailable
from messaging.domain.ids import wall_clock_ms
from messaging.eventlog.kafka.inspector import KafkaLogInspector
from messaging.eventlog.kafka.topics import RETENTION_MS
from messaging.eventlog.redis_streams.inspector import COUNTED, RedisStreamsLogInspector
from messaging.links import KafkaLink
from messaging.ports.audit import Extent, Lag, LogInspector
from messaging.ports.log import Position, Record
from tests.contract.test_event_log import append, last_of, numbered, read, record
from tests.support.logs import PARTITIONS, KafkaRig, LogRig, MemoryRig, StreamsRig
from tests.support.real_services import free_port


@pytest.fixture
def inspector(rig: LogRig) -> LogInspector:
    return rig.inspector()


async def walk(
    inspector: LogInspector, partition: int, start: str, until: str, *, max_records: int = 7
) -> list[Record]:
    records: list[Record] = []
    while start != until:
        piece = await inspector.read(partition, start=start, until=until, max_records=max_records)
        assert len(piece.records) <= max_records
        records += piece.records
        start = piece.next
    return records


async def extent(inspector: LogInspector, position: Position, **since: int) -> Extent:
    extents = await inspector.extents(**since)
    assert [each.partition for each in extents] == list(range(PARTITIONS))
    return extents[position.partition]


async def test_an_empty_log_has_nothing_to_read(inspector: LogInspector) -> None:
    for each in await inspector.extents():
        assert each.start == each.committed == each.end
        assert await walk(inspector, each.partition, each.start, each.end) == []


async def test_reads_every_record_of_a_partition_in_order(
    rig: LogRig,
    inspector: LogInspector,
) -> None:
    (first, *_) = await append(rig, numbered("a", range(20)))

    whole = await extent(inspector, first)
    records = await walk(inspector, first.partition, whole.start, whole.end)

    assert [each.value for each in records] == [b"%d" % n for n in range(20)]
    assert records[0].position == first
    assert records[0].key == b"a"


async def test_knows_the_partition_that_the_writing_end_chooses(
    rig: LogRig, inspector: LogInspector
) -> None:
    for name in ("1_2", "1_3", "2_3", "g7", "g8", "g9"):
        (position,) = await append(rig, [record(name, b"x")])
        assert inspector.partition_of(name) == position.partition


async def test_tells_when_a_record_was_appended(rig: LogRig, inspector: LogInspector) -> None:
    before_ms = wall_clock_ms()
    (first,) = await append(rig, [record("a", b"x")])
    after_ms = wall_clock_ms()

    now = await extent(inspector, first)
    (found,) = await walk(inspector, first.partition, now.start, now.end)

    if isinstance(rig, MemoryRig):
        assert found.time_ms is None
    else:
        assert found.time_ms is not None
        assert before_ms - 1_000 <= found.time_ms <= after_ms + 1_000


async def test_the_tail_is_what_is_not_committed(rig: LogRig, inspector: LogInspector) -> None:
    (first, *_) = await append(rig, numbered("a", range(5)))
    reader = rig.reader()
    await reader.commit(last_of(await read(reader, 5)))
    await append(rig, numbered("a", range(5, 8)))

    now = await extent(inspector, first)
    done = await walk(inspector, first.partition, now.start, now.committed)
    tail = await walk(inspector, first.partition, now.committed, now.end)

    assert [each.value for each in done] == [b"%d" % n for n in range(5)]
    assert [each.value for each in tail] == [b"5", b"6", b"7"]


async def test_looking_takes_nothing_from_the_group(rig: LogRig, inspector: LogInspector) -> None:
    (first, *_) = await append(rig, numbered("a", range(5)))
    reader = rig.reader()
    await read(reader, 5)

    now = await extent(inspector, first)
    await walk(inspector, first.partition, now.start, now.end)

    assert now.committed == now.start
    await append(rig, numbered("a", range(5, 6)))
    await reader.commit(last_of(await read(reader, 1)))  # the reader still owns the partition
    assert (await extent(inspector, first)).committed == (await extent(inspector, first)).end


async def test_what_came_since_then_is_not_read(rig: LogRig, inspector: LogInspector) -> None:
    (first, *_) = await append(rig, numbered("a", range(3)))
    now = await extent(inspector, first)
    await append(rig, numbered("a", range(3, 6)))

    assert len(await walk(inspector, first.partition, now.start, now.end)) == 3


async def test_what_is_older_than_asked_for_is_left_out(
    rig: LogRig,
    inspector: LogInspector,
) -> None:
    (first, *_) = await append(rig, numbered("a", range(3)))
    await asyncio.sleep(0.05)
    since_ms = wall_clock_ms()
    await append(rig, numbered("a", range(3, 6)))
    reader = rig.reader()
    await reader.commit(last_of(await read(reader, 6)))

    now = await extent(inspector, first, since_ms=since_ms)
    records = await walk(inspector, first.partition, now.start, now.end)

    # The log in memory keeps no times.
    expected = range(6) if isinstance(rig, MemoryRig) else range(3, 6)
    assert [each.value for each in records] == [b"%d" % n for n in expected]


async def test_the_tail_is_whole_however_old_it_is(rig: LogRig, inspector: LogInspector) -> None:
    (first, *_) = await append(rig, numbered("a", range(3)))

    now = await extent(inspector, first, since_ms=wall_clock_ms() + 60_000)

    assert len(await walk(inspector, first.partition, now.committed, now.end)) == 3


async def test_large_records_come_in_pieces(rig: LogRig, inspector: LogInspector) -> None:
    values = [b"%03d" % number + bytes(400_000) for number in range(20)]
    for value in values:
        (first,) = await append(rig, [record("a", value)])

    now = await extent(inspector, first)
    found = await walk(inspector, first.partition, now.start, now.end)

    assert [each.value for each in found] == values


@pytest.mark.parametrize("kind", ["redis", "kafka"])
async def test_a_log_that_is_away_is_told_in_time(kind: str) -> None:
    address = f"127.0.0.1:{free_port()}"
    inspector: LogInspector
    if kind == "redis":
        inspector = RedisStreamsLogInspector(
            f"redis://{address}/0", topic="t", group="g", partitions=2, timeout_s=0.5
        )
        start, until = "0-0", "5-0"
    else:
        inspector = KafkaLogInspector(KafkaLink((address,)), topic="t", group="g", partitions=2)
        start, until = "0", "5"

    async with asyncio.timeout(40):
        with pytest.raises(LogUnavailable):
            await inspector.extents()
        for ask in (inspector.lags, inspector.members):
            with pytest.raises(LogUnavailable):
                await ask()
        with pytest.raises(LogUnavailable):
            await inspector.read(0, start=start, until=until, max_records=1)
        await inspector.close()


async def test_tells_whether_the_group_has_committed_up_to_a_place(
    rig: LogRig, inspector: LogInspector
) -> None:
    await append(rig, numbered("a", range(5)))
    ends = {each.partition: each.end for each in await inspector.extents()}
    assert not await inspector.is_committed(ends)

    reader = rig.reader()
    records = await read(reader, 5)
    await reader.commit(last_of(records[:3]))
    assert not await inspector.is_committed(ends)
    await append(rig, numbered("a", range(5, 8)))
    await reader.commit(last_of(records))
    assert await inspector.is_committed(ends)
    assert not await inspector.is_committed(
        {each.partition: each.end for each in await inspector.extents()}
    )


async def lag_of(inspector: LogInspector, position: Position) -> Lag:
    lags = await inspector.lags()
    assert [each.partition for each in lags] == list(range(PARTITIONS))
    return lags[position.partition]


async def test_a_log_that_was_never_read_has_no_lag(inspector: LogInspector) -> None:
    assert await inspector.lags() == [Lag(each, 0, None) for each in range(PARTITIONS)]


async def test_the_lag_begins_with_the_first_record_that_is_not_committed(
    rig: LogRig, inspector: LogInspector
) -> None:
    before_ms = wall_clock_ms()
    (first, *_) = await append(rig, numbered("a", range(5)))
    after_ms = wall_clock_ms()
    lag = await lag_of(inspector, first)
    assert lag.records == 5
    if isinstance(rig, MemoryRig):
        assert lag.oldest_ms is None
    else:
        assert lag.oldest_ms is not None
        assert before_ms <= lag.oldest_ms <= after_ms

    reader = rig.reader()
    await reader.commit(last_of(await read(reader, 5)))
    assert await lag_of(inspector, first) == Lag(first.partition, 0, None)

    later_ms = wall_clock_ms()
    await append(rig, numbered("a", range(5, 8)))
    lag = await lag_of(inspector, first)
    assert lag.records == 3
    assert lag.oldest_ms is None or lag.oldest_ms >= later_ms


async def test_a_long_lag_is_never_told_too_small(rig: LogRig, inspector: LogInspector) -> None:
    (first,) = await append(rig, [record("a", "0")])
    reader = rig.reader()
    await reader.commit(last_of(await read(reader, 1)))
    for start in range(1, COUNTED + 100, 100):
        await append(rig, numbered("a", range(start, start + 100)))
    lag = await lag_of(inspector, first)
    kept = 1 if isinstance(rig, StreamsRig) else 0  # the stream still has the committed record
    assert lag.records == COUNTED + 100 + kept


async def test_counts_the_readers_of_the_group(rig: LogRig, inspector: LogInspector) -> None:
    assert await inspector.members() == 0
    readers = [rig.reader(), rig.reader()]
    async with asyncio.timeout(30):
        while await inspector.members() < 2:
            for reader in readers:
                await reader.poll(max_records=1, timeout_s=0.05)
    assert await inspector.members() == 2
    await readers[0].close()
    async with asyncio.timeout(30):
        while await inspector.members() > 1:
            await readers[1].poll(max_records=1, timeout_s=0.05)
    assert await inspector.members() == 1


async def test_tells_how_long_a_record_is_kept(rig: LogRig, inspector: LogInspector) -> None:
    expected = RETENTION_MS / 1000 if isinstance(rig, KafkaRig) else None
    assert await inspector.retention_s() == expected
