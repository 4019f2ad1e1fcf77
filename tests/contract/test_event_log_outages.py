"""Test each log while its server is stopped, frozen or killed, and after the server is back."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from messaging.domain.backend_errors import BackendError, CommitRefused, LogUnavailable
from messaging.ports.audit import Extent, LogInspector
from messaging.ports.log import LogReader, OutgoingRecord, Position, Record
from tests.support.kafka import KafkaServer
from tests.support.logs import (
    TIMEOUT_S,
    BreakableKafkaRig,
    BreakableStreamsRig,
    LogRig,
    MemoryRig,
)
from tests.support.real_services import connected

# kafka-python leaves the sockets of failed connections to the garbage collector (see `rig`).
pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]
BUSY_S = 0.7  # time that a busy machine may add to any bound
BACK_S = 5.0  # a log works again within this time after its server answers again


@pytest.fixture(scope="module")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    connected("IM_EVENT_LOG_URL")  # the embedded Kafka uses the jars of the real one
    server = KafkaServer(tmp_path_factory.mktemp("kafka"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=["memory", "embedded", pytest.param("kafka", marks=pytest.mark.connected)])
async def rig(
    request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[LogRig]:
    opened: LogRig
    match request.param:
        case "memory":
            opened = MemoryRig()
        case "embedded":
            opened = BreakableStreamsRig(tmp_path)
        case _:
            opened = BreakableKafkaRig(request.getfixturevalue("kafka_server"))
    yield opened
    await opened.close()
    # The logged errors keep references to the sockets, and so keep them open.
    caplog.get_records("call").clear()
    gc.collect()


def records(numbers: range, *, size_bytes: int = 0) -> list[OutgoingRecord]:
    return [OutgoingRecord(f"key {n}".encode(), str(n).encode().ljust(size_bytes)) for n in numbers]


async def outcomes(rig: LogRig, group: list[OutgoingRecord]) -> list[Position | BaseException]:
    return list(
        await asyncio.gather(*await rig.log.append(rig.topic, group), return_exceptions=True)
    )


async def append(rig: LogRig, group: list[OutgoingRecord]) -> None:
    """Append until everything is confirmed; a record may be in the log more than once then."""
    deadline = time.monotonic() + BACK_S
    while True:
        ended = await outcomes(rig, group)
        group = [r for r, o in zip(group, ended, strict=True) if isinstance(o, BaseException)]
        if not group:
            return
        assert all(isinstance(o, Position | LogUnavailable) for o in ended)
        assert time.monotonic() < deadline, "still not back"
        await asyncio.sleep(0.1)


async def read(reader: LogReader, numbers: range, *, within_s: float = 15.0) -> list[Record]:
    """Poll, as the consumer does through an outage, until every number was read."""
    wanted = {str(n).encode() for n in numbers}
    found: list[Record] = []
    deadline = time.monotonic() + within_s
    while not wanted <= {r.value for r in found}:
        assert time.monotonic() < deadline, f"missing: {wanted - {r.value for r in found}}"
        try:
            found += await reader.poll(max_records=100, timeout_s=0.2)
        except LogUnavailable:
            await asyncio.sleep(0.05)
    return found


def last_of(found: list[Record]) -> dict[int, Record]:
    return {record.position.partition: record for record in found}


class TestWriting:
    @pytest.mark.parametrize("how", ["stopped", "frozen"])
    async def test_futures_end_in_time_and_later_appends_go_through(
        self, rig: LogRig, how: str
    ) -> None:
        await append(rig, records(range(10)))
        if how == "stopped":
            await rig.stop()
        else:
            rig.freeze()
        for _ in range(5):
            began = time.monotonic()
            ended = await outcomes(rig, records(range(10, 20)))
            assert time.monotonic() - began < TIMEOUT_S + BUSY_S
            assert {type(outcome) for outcome in ended} == {LogUnavailable}
        if how == "stopped":
            await rig.start()
        else:
            rig.thaw()
        await append(rig, records(range(20, 30)))
        await read(rig.reader(), range(20, 30))

    async def test_appends_are_handed_over_or_refused_at_once(self, rig: LogRig) -> None:
        await rig.log.close()
        rig.log = rig.new_log(timeout_s=4 * TIMEOUT_S)  # far longer than a hand-over may take
        await append(rig, records(range(10)))
        rig.freeze()
        longest_s, futures = 0.0, []
        for start in range(0, 20_000, 500):
            began = time.monotonic()
            futures += await rig.log.append(
                rig.topic, records(range(start, start + 500), size_bytes=1_000)
            )
            longest_s = max(longest_s, time.monotonic() - began)
        ended = await asyncio.gather(*futures, return_exceptions=True)
        rig.thaw()
        assert longest_s < 0.1 + BUSY_S
        assert {type(outcome) for outcome in ended} == {LogUnavailable}

    async def test_once_it_is_known_to_be_away_appends_fail_at_once(self, rig: LogRig) -> None:
        await append(rig, records(range(10)))
        rig.freeze()
        await outcomes(rig, records(range(10)))
        # Redis is asked again each time, and answers quickly.
        if isinstance(rig, BreakableKafkaRig):
            began = time.monotonic()
            await outcomes(rig, records(range(10)))
            assert time.monotonic() - began < 0.1
        rig.thaw()
        await append(rig, records(range(10)))

    async def test_a_log_made_while_the_server_is_away_works_when_it_comes(
        self, rig: LogRig
    ) -> None:
        await rig.stop()
        await rig.log.close()
        rig.log = rig.new_log()
        began = time.monotonic()
        ended = await outcomes(rig, records(range(10)))
        assert time.monotonic() - began < 1.0 + BUSY_S
        assert {type(outcome) for outcome in ended} == {LogUnavailable}
        await rig.start()
        await append(rig, records(range(10)))

    async def test_ping_tells_in_time(self, rig: LogRig) -> None:
        await rig.log.ping()
        rig.freeze()
        began = time.monotonic()
        with pytest.raises(LogUnavailable):
            await rig.log.ping()
        assert time.monotonic() - began < TIMEOUT_S + BUSY_S
        rig.thaw()
        await append(rig, records(range(10)))
        await rig.log.ping()

    async def test_closing_ends_in_time_and_leaves_no_future_behind(self, rig: LogRig) -> None:
        await append(rig, records(range(10)))
        rig.freeze()
        futures = await rig.log.append(rig.topic, records(range(10, 20)))
        began = time.monotonic()
        await rig.log.close()
        assert time.monotonic() - began < 2 * TIMEOUT_S + BUSY_S
        assert all(future.done() for future in futures)
        rig.thaw()

    async def test_what_was_confirmed_survives_a_kill(self, rig: LogRig) -> None:
        """The log in memory has no server that could be killed."""
        confirmed: list[int] = []
        stopping = asyncio.Event()

        async def write() -> None:
            for n in range(100_000):
                if stopping.is_set():
                    return
                if not isinstance((await outcomes(rig, records(range(n, n + 1))))[0], BackendError):
                    confirmed.append(n)

        await append(rig, records(range(1)))
        writing = asyncio.create_task(write())
        await asyncio.sleep(0.5)
        await rig.kill()
        stopping.set()
        await writing
        await rig.start()
        assert confirmed
        await append(rig, records(range(1)))
        await read(rig.reader(), range(confirmed[-1] + 1))


class TestReading:
    @pytest.mark.parametrize("how", ["stopped", "frozen"])
    async def test_poll_says_so_in_time_and_misses_nothing_after_it(
        self, rig: LogRig, how: str
    ) -> None:
        reader = rig.reader()
        await append(rig, records(range(10)))
        await reader.commit(last_of(await read(reader, range(10))))
        await append(rig, records(range(10, 20)))
        if how == "stopped":
            await rig.stop()
        else:
            rig.freeze()
        found = await polled_until_unavailable(reader)
        if how == "stopped":
            await rig.start()
        else:
            rig.thaw()
        await append(rig, records(range(20, 30)))
        found += await read(reader, range(20, 30))
        assert {str(n).encode() for n in range(10, 30)} <= {r.value for r in found}

    async def test_a_reader_made_while_the_server_is_away_works_when_it_comes(
        self, rig: LogRig
    ) -> None:
        await append(rig, records(range(10)))
        await rig.stop()
        reader = rig.reader()
        assert await polled_until_unavailable(reader) == []
        await rig.start()
        await read(reader, range(10))

    async def test_what_could_not_be_committed_is_delivered_again(self, rig: LogRig) -> None:
        reader = rig.reader()
        await append(rig, records(range(10)))
        found = await read(reader, range(10))
        await rig.stop()
        began = time.monotonic()
        with pytest.raises((LogUnavailable, CommitRefused)):
            await reader.commit(last_of(found))
        assert time.monotonic() - began < 5.0 + BUSY_S
        await rig.start()
        await reader.close()
        await read(rig.reader(), range(10))

    async def test_keep_alive_through_an_outage_keeps_what_is_held_readable(
        self, rig: LogRig
    ) -> None:
        reader = rig.reader()
        await append(rig, records(range(10)))
        held = await read(reader, range(10))
        await rig.stop()
        for _ in range(3):
            try:
                await asyncio.wait_for(reader.keep_alive(), 5.0 + BUSY_S)
            except LogUnavailable:
                continue
        await rig.start()
        await append(rig, records(range(10, 20)))
        try:
            await reader.commit(last_of(held))
        except (CommitRefused, LogUnavailable):
            await read(reader, range(20))  # the reader had lost its place meanwhile
        else:
            await read(reader, range(10, 20))

    async def test_closing_ends_in_time(self, rig: LogRig) -> None:
        reader = rig.reader()
        await append(rig, records(range(10)))
        await read(reader, range(10))
        rig.freeze()
        began = time.monotonic()
        await reader.close()
        assert time.monotonic() - began < 10.0 + BUSY_S
        rig.thaw()


async def polled_until_unavailable(reader: LogReader) -> list[Record]:
    """Poll until the log is unavailable; records already fetched may still come before."""
    found: list[Record] = []
    deadline = time.monotonic() + 10
    while True:
        began = time.monotonic()
        try:
            found += await reader.poll(max_records=100, timeout_s=0.2)
        except LogUnavailable:
            assert time.monotonic() - began < TIMEOUT_S + BUSY_S
            return found
        assert time.monotonic() < deadline, "the outage was never told"


async def inspected(inspector: LogInspector) -> list[Extent]:
    """Return the extents as soon as the restarted server gives them."""
    deadline = time.monotonic() + 15
    while True:
        try:
            return await inspector.extents()
        except LogUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)


class TestUnreadable:
    async def test_a_record_that_cannot_be_read_is_told_and_blocks_nothing(
        self, rig: LogRig
    ) -> None:
        """All records have one key, so good ones surround the bad one in its partition."""
        positions = []
        for number in range(6):
            group = [OutgoingRecord(b"1_2", str(number).encode())]
            (position,) = await outcomes(rig, group)
            assert isinstance(position, Position)
            positions.append(position)
        await rig.spoil(positions[2].partition, positions[2].offset)
        reader = rig.reader()
        found: list[Record] = []
        deadline = time.monotonic() + 15
        while len(found) < 6 and time.monotonic() < deadline:
            try:
                found += await reader.poll(max_records=100, timeout_s=0.2)
            except LogUnavailable:
                await asyncio.sleep(0.1)
        assert [r.value for r in found] == [b"0", b"1", None, b"3", b"4", b"5"]
        assert [r.position for r in found] == positions
        await reader.commit(last_of(found))
        await reader.close()
        assert await rig.reader().poll(max_records=10, timeout_s=0.5) == []

    async def test_an_inspector_steps_over_it_as_well(self, rig: LogRig) -> None:
        positions = []
        for number in range(4):
            (position,) = await outcomes(rig, [OutgoingRecord(b"1_2", str(number).encode())])
            assert isinstance(position, Position)
            positions.append(position)
        await rig.spoil(positions[1].partition, positions[1].offset)
        inspector = rig.inspector()
        extents = await inspected(inspector)
        start, until = extents[positions[0].partition].start, extents[positions[0].partition].end
        found: list[Record] = []
        while start != until:
            piece = await inspector.read(
                positions[0].partition, start=start, until=until, max_records=100
            )
            found += piece.records
            start = piece.next
        assert [r.value for r in found] == [b"0", None, b"2", b"3"]
        assert [r.position for r in found] == positions

    async def test_keeping_alive_beside_an_unreadable_record_loses_nothing(
        self, rig: LogRig
    ) -> None:
        """The bad record is fetched together with good ones of other partitions."""
        (bad,) = await outcomes(rig, [OutgoingRecord(b"1_2", b"bad")])
        assert isinstance(bad, Position)
        await append(rig, records(range(20)))
        await rig.spoil(bad.partition, bad.offset)
        expected = {None} | {str(n).encode() for n in range(20)}
        for _ in range(3):  # chance decides which partition is fetched first
            reader = rig.reader()
            await polled_until_available(reader)
            for _ in range(2):
                await reader.rewind()
                found: list[Record] = []
                deadline = time.monotonic() + 10
                while len(found) < len(expected) and time.monotonic() < deadline:
                    found += await reader.poll(max_records=100, timeout_s=0.2)
                    await reader.keep_alive()
                assert {r.value for r in found} == expected
                assert len(found) == len(expected)
            await reader.close()


async def polled_until_available(reader: LogReader) -> None:
    deadline = time.monotonic() + 15
    while True:
        try:
            if await reader.poll(max_records=1, timeout_s=0.5):
                return
        except LogUnavailable:
            assert time.monotonic() < deadline, "still not back"
