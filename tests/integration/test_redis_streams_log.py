"""Test Redis Streams' own traits: trimming, fences in Redis, memory, and record encoding."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from messaging.domain.backend_errors import CommitRefused, LogUnavailable, TopicMismatch
from messaging.eventlog.redis_streams import reader as redis_streams_reader
from messaging.eventlog.redis_streams import writer as redis_streams_writer
from messaging.eventlog.redis_streams.entries import Keys, decode, encode_headers, partition_of
from messaging.eventlog.redis_streams.reader import RedisStreamsLogReader
from messaging.eventlog.redis_streams.writer import RedisStreamsEventLog
from messaging.ports.log import LogReader, OutgoingRecord, Record
from tests.integration.scene import Scene
from tests.support.logs import GROUP, PARTITIONS, BreakableStreamsRig, StreamsRig

SOMEBODY_ELSE = "9999999999999 somebody-else"


@pytest.fixture
async def rig(redis_url: str) -> AsyncIterator[StreamsRig]:
    opened = StreamsRig(redis_url)
    yield opened
    await opened.close()


async def append(rig: StreamsRig, count: int, *, key: bytes = b"1_2") -> None:
    group = [OutgoingRecord(key, str(n).encode()) for n in range(count)]
    await asyncio.gather(*await rig.log.append(rig.topic, group))


async def read(reader: LogReader, count: int) -> list[Record]:
    records: list[Record] = []
    deadline = time.monotonic() + 10
    while len(records) < count and time.monotonic() < deadline:
        records += await reader.poll(max_records=count, timeout_s=0.2)
    assert len(records) == count
    return records


class TestTrimming:
    async def test_what_is_committed_goes_and_what_is_not_stays(
        self, rig: StreamsRig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redis_streams_reader, "KEPT_COMMITS", 5)
        await append(rig, 5_000)
        reader = rig.reader()
        for _ in range(40):
            records = await read(reader, 100)
            await reader.commit({records[-1].position.partition: records[-1]})
        stream = Keys(rig.topic).stream(records[-1].position.partition)
        with redis.Redis.from_url(rig.url) as client:
            assert 1_000 + 500 <= client.xlen(stream) <= 1_000 + 500 + 200
        await reader.rewind()
        rest = await read(reader, 1_000)
        assert [r.value for r in rest] == [str(n).encode() for n in range(4_000, 5_000)]

    async def test_commits_that_failed_trim_nothing(
        self, rig: StreamsRig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redis_streams_reader, "KEPT_COMMITS", 3)
        await append(rig, 1_000)
        reader = rig.reader()
        records = await read(reader, 1_000)
        partition = records[0].position.partition
        leases = Keys(rig.topic).leases(GROUP)
        with redis.Redis.from_url(rig.url) as client:
            client.hset(leases, str(partition), SOMEBODY_ELSE)
            with pytest.raises(CommitRefused):
                await reader.commit({partition: records[900]})
            client.hdel(leases, str(partition))
        again = await read(reader, 1_000)
        for last in (0, 1, 2, 3, 4, 5):
            await reader.commit({partition: again[last]})
        await reader.rewind()
        assert [r.value for r in await read(reader, 994)] == [r.value for r in records[6:]]

    async def test_a_topic_that_nobody_reads_stays_bounded(self, redis_url: str) -> None:
        log = RedisStreamsEventLog(
            redis_url, partitions=1, timeout_s=0.5, trip_timeout_s=2, longest={"dead": 500}
        )
        group = [OutgoingRecord(b"1_2", str(n).encode()) for n in range(3_000)]
        for topic in ("dead", "alive"):
            await asyncio.gather(*await log.append(topic, group))
        await log.close()
        with redis.Redis.from_url(redis_url) as client:
            assert 500 <= client.xlen(Keys("dead").stream(0)) < 700
            assert client.xlen(Keys("alive").stream(0)) == 3_000
            newest = client.xrevrange(Keys("dead").stream(0), count=1)[0][1]
            assert newest[b"v"] == b"2999"


class TestAFault:
    async def test_ends_the_appends_that_met_it_and_no_others(
        self, rig: StreamsRig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(**_: object) -> None:
            raise RuntimeError("a bug")

        log = rig.log
        assert isinstance(log, RedisStreamsEventLog)
        with monkeypatch.context() as patch:
            patch.setattr(log, "_append", fail)
            with pytest.raises(LogUnavailable):
                await asyncio.wait_for(append(rig, 1), 5)
        async with asyncio.timeout(5):
            while not log.breaker.is_closed:
                await asyncio.sleep(0.01)
        await append(rig, 2)
        await read(rig.reader(), 2)


class TestAServerClockThatIsSetBack:
    async def test_leaves_no_partition_to_a_reader_that_is_dead(self, rig: StreamsRig) -> None:
        await append(rig, 10)
        keys = Keys(rig.topic)
        with redis.Redis.from_url(rig.url) as client:
            later_ms = (int(client.time()[0]) + 600) * 1_000
            client.zadd(keys.readers(GROUP), {"dead": later_ms})
            for partition in range(PARTITIONS):
                client.hset(keys.leases(GROUP), str(partition), f"{later_ms} dead")
        await read(rig.reader(), 10)


class TestFences:
    async def test_redis_refuses_a_commit_without_the_lease(self, rig: StreamsRig) -> None:
        """The commit is of a process that was asleep and has not noticed the loss of its lease."""
        await append(rig, 10)
        sleeper = rig.reader()
        records = await read(sleeper, 10)
        partition = records[0].position.partition
        keys = Keys(rig.topic)
        with redis.Redis.from_url(rig.url) as client:
            client.hset(keys.leases(GROUP), str(partition), SOMEBODY_ELSE)
            with pytest.raises(CommitRefused):
                await sleeper.commit({partition: records[-1]})
            assert client.hgetall(keys.committed(GROUP)) == {}
            client.hdel(keys.leases(GROUP), str(partition))
        assert [r.value for r in await read(sleeper, 10)] == [r.value for r in records]

    async def test_a_partition_is_never_leased_twice(self, rig: StreamsRig) -> None:
        readers = [rig.reader() for _ in range(PARTITIONS + 2)]
        for _ in range(20):
            await asyncio.gather(*(r.poll(max_records=1, timeout_s=0.1) for r in readers))
        with redis.Redis.from_url(rig.url) as client:
            leases = client.hgetall(Keys(rig.topic).leases(GROUP))
        owners = {lease.split()[1] for lease in leases.values()}
        # Each partition has a reader of its own, and two readers wait.
        assert (len(leases), len(owners)) == (PARTITIONS, PARTITIONS)

    async def test_leaving_gives_the_leases_back_at_once(self, rig: StreamsRig) -> None:
        await append(rig, 1)
        reader = rig.reader()
        await read(reader, 1)
        leases = Keys(rig.topic).leases(GROUP)
        with redis.Redis.from_url(rig.url) as client:
            client.hset(leases, "0", SOMEBODY_ELSE)
            await reader.close()
            assert client.hgetall(leases) == {b"0": SOMEBODY_ELSE.encode()}
            assert client.zcard(Keys(rig.topic).readers(GROUP)) == 0

    async def test_leases_are_renewed_between_two_polls(self, rig: StreamsRig) -> None:
        busy = RedisStreamsLogReader(rig.url, **(rig.arguments() | {"max_poll_interval_s": 9.0}))  # type: ignore[arg-type]
        await append(rig, 10)
        records = await read(busy, 10)
        waiting = rig.reader()
        deadline = time.monotonic() + 3 * rig.lease_s
        while time.monotonic() < deadline:
            assert await waiting.poll(max_records=10, timeout_s=0.1) == []
        await busy.commit({records[-1].position.partition: records[-1]})
        await busy.close()

    async def test_another_number_of_partitions_is_refused(self, rig: StreamsRig) -> None:
        await append(rig, 1)
        await read(rig.reader(), 1)
        other = RedisStreamsLogReader(
            rig.url, topic=rig.topic, group=GROUP, partitions=PARTITIONS - 1, timeout_s=0.5
        )
        with pytest.raises(TopicMismatch, match=f"IM_PARTITIONS={PARTITIONS}"):
            await other.poll(max_records=1, timeout_s=0.1)
        await other.close()


class TestMemory:
    async def test_what_waits_for_a_frozen_server_is_bounded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redis_streams_writer, "MAX_WAITING_BYTES", 50_000)
        rig = BreakableStreamsRig(tmp_path)
        await append(rig, 1)
        rig.freeze()
        group = [OutgoingRecord(b"1_2", b"x" * 1_000) for _ in range(200)]
        futures = await rig.log.append(rig.topic, group)
        refused = [future for future in futures if future.done()]
        assert 140 <= len(refused) <= 155
        assert all(isinstance(f.exception(), LogUnavailable) for f in refused)
        ended = await asyncio.gather(*futures, return_exceptions=True)
        assert {type(outcome) for outcome in ended} == {LogUnavailable}
        rig.thaw()
        await asyncio.sleep(0.1)
        await append(rig, 40)  # the partition has room again
        await rig.close()

    async def test_a_full_server_refuses_records_and_can_still_be_read_empty(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redis_streams_reader, "KEPT_COMMITS", 1)
        rig = BreakableStreamsRig(tmp_path)
        await append(rig, 5_000)
        first = rig.reader()
        records = await read(first, 1_000)
        with redis.Redis.from_url(rig.url) as client:
            client.config_set("maxmemory", "1mb")
            (future,) = await rig.log.append(rig.topic, [OutgoingRecord(b"1_2", b"x")])
            with pytest.raises(LogUnavailable):
                await future
            partition = records[0].position.partition
            for last in (499, 999):
                await first.commit({partition: records[last]})
            await first.close()
            second = rig.reader()  # a new reader begins as after a restart
            for _ in range(4):
                records = await read(second, 1_000)
                await second.commit({partition: records[-1]})
            client.config_set("maxmemory", "0")
            assert client.xlen(Keys(rig.topic).stream(partition)) < 1_500
        await append(rig, 1)
        await rig.close()

    async def test_a_full_server_is_made_room_on_by_the_first_consumer_it_ever_had(
        self, scene: Scene, redis_url: str
    ) -> None:
        alice, bob = next(scene.pairs)
        sent = [await scene.sent(alice, bob) for _ in range(20)]
        with redis.Redis.from_url(redis_url) as client:
            client.config_set("maxmemory", "1mb")
            try:
                await scene.persist()
            finally:
                client.config_set("maxmemory", "0")
        assert [row.seq for row in await scene.rows(*sent)] == list(range(1, 21))


class TestEncoding:
    @given(
        headers=st.lists(st.tuples(st.text(max_size=9), st.binary(max_size=30)), max_size=5),
        value=st.binary(max_size=50),
    )
    def test_records_come_back_as_they_were(
        self, headers: list[tuple[str, bytes]], value: bytes
    ) -> None:
        record = OutgoingRecord(b"key", value, tuple(headers))
        fields = {b"k": record.key, b"v": value, b"h": encode_headers(record).encode()}
        back = decode("topic", 3, b"12-1", fields)
        assert (back.key, back.value, back.headers) == (b"key", value, tuple(headers))

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {b"k": b"key", b"v": b"value"},
            {b"v": b"value", b"h": b""},
            {b"k": b"key", b"v": b"value", b"h": b"\xff"},
            {b"k": b"key", b"v": b"value", b"h": b"[1]"},
            {b"k": b"key", b"v": b"value", b"h": b'{"a": 1}'},
            {b"k": b"key", b"v": b"value", b"h": b'[["name", "\\u4e2d"]]'},
        ],
    )
    def test_anything_else_has_no_value(self, fields: dict[bytes, bytes]) -> None:
        assert decode("topic", 3, b"12-1", fields).value is None

    @given(key=st.binary(max_size=40))
    def test_a_key_has_one_partition_among_those_there_are(self, key: bytes) -> None:
        assert partition_of(key, 10) == partition_of(bytes(key), 10)
        assert 0 <= partition_of(key, 10) < 10
