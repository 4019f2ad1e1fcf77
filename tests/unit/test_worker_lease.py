"""Test the keeper of worker ids, over leases in memory and a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from messaging.conf import Settings
from messaging.domain.errors import IdsUnavailable
from messaging.domain.ids import ClockHealth, SnowflakeIdGenerator, WorkerLease, time_of_id
from messaging.ports.cache_service import LeaseRequest
from messaging.runtime import worker_lease
from messaging.runtime.worker_lease import WorkerLeaseKeeper
from messaging.testing.cache import MemoryCache
from messaging.testing.store import MemoryStore

LEASE_S = 600.0
START_S = 1_000.0
NOW_MS = 1_800_000_000_000
TEN_MINUTES_MS = 600_000


@dataclass
class LeasingSite:
    """Hold the clock, cache, store and processes that one site shares."""

    now_s: float = START_S
    cache: MemoryCache = field(default_factory=MemoryCache)
    store: MemoryStore = field(default_factory=MemoryStore)
    processes: list[LeasingProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cache.clock_s = self.store.clock_s = self.clock_s

    def clock_s(self) -> float:
        return self.now_s

    def process(self, *, datacenter_id: int | None = 3) -> LeasingProcess:
        wall = WallClock(self)
        ids = SnowflakeIdGenerator(clock_ms=wall, monotonic_s=self.clock_s)
        keeper = WorkerLeaseKeeper(
            ids=ids,
            cache=self.cache,
            store=self.store,
            settings=Settings(
                redis_url="",
                event_log_url="",
                datacenter_id=datacenter_id,
                worker_lease_s=LEASE_S,
            ),
            monotonic_s=self.clock_s,
        )
        made = LeasingProcess(ids, keeper, wall)
        self.processes.append(made)
        return made


@dataclass
class WallClock:
    """Give the time of one machine, which is `ahead_ms` of the right time."""

    site: LeasingSite
    ahead_ms: int = 0

    def __call__(self) -> int:
        return NOW_MS + round((self.site.now_s - START_S) * 1000) + self.ahead_ms


@dataclass
class LeasingProcess:
    ids: SnowflakeIdGenerator
    keeper: WorkerLeaseKeeper
    wall: WallClock

    async def started(self) -> LeasingProcess:
        await self.keeper.ensure()
        return self

    @property
    def lease(self) -> WorkerLease:
        assert self.ids.lease is not None
        return self.ids.lease

    def node_of_next_id(self) -> int:
        return (self.ids.next_id("1_2") >> 12) & 1023


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LeasingSite]:
    monkeypatch.setattr(worker_lease, "SHORTEST_PAUSE_S", 0.003)
    monkeypatch.setattr(worker_lease, "LONGEST_PAUSE_S", 0.003)
    opened = LeasingSite()
    yield opened
    for process in opened.processes:
        await process.keeper.close()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def some_renewals() -> None:
    await asyncio.sleep(0.03)


async def test_gives_ids_under_a_worker_id_of_the_cache(site: LeasingSite) -> None:
    process = await site.process().started()

    assert 3 * 32 <= process.lease.node < 3 * 32 + 24
    assert process.lease.fenced
    assert process.node_of_next_id() == process.lease.node
    assert list(site.cache.leases) == [f"worker:{process.lease.node}"]


async def test_no_two_processes_share_a_worker_id(site: LeasingSite) -> None:
    processes = [await site.process().started() for _ in range(32)]

    nodes = [process.lease.node for process in processes]
    assert sorted(nodes) == list(range(3 * 32, 4 * 32))
    assert [p.lease.fenced for p in processes] == [True] * 24 + [False] * 8
    assert {p.lease.node % 32 for p in processes if not p.lease.fenced} == set(range(24, 32))
    assert len({process.lease.owner for process in processes}) == 32
    with pytest.raises(IdsUnavailable):
        await site.process().started()


async def test_begins_anywhere_so_that_starting_processes_do_not_collide(site: LeasingSite) -> None:
    nodes = {(await site.process(datacenter_id=None).started()).lease.node for _ in range(40)}

    assert len(nodes) == 40
    assert len({node // 32 for node in nodes}) > 8
    assert all(node % 32 < 24 for node in nodes)


async def test_leases_of_the_store_where_the_cache_is_away(site: LeasingSite) -> None:
    site.cache.down = True

    process = await site.process().started()

    assert process.lease.node % 32 >= 24
    assert not process.lease.fenced
    assert list(site.store.leases) == [f"worker:{process.lease.node}"]


async def test_goes_on_trying_when_both_are_away(site: LeasingSite) -> None:
    site.cache.down = site.store.down = True
    process = site.process()
    with pytest.raises(IdsUnavailable):
        await process.started()
    with pytest.raises(IdsUnavailable):
        process.ids.next_id("1_2")

    site.cache.down = False

    await eventually(lambda: process.ids.lease is not None)
    process.ids.next_id("1_2")


async def test_renews_while_the_process_runs(site: LeasingSite) -> None:
    process = await site.process().started()
    first = process.lease

    for _ in range(10):
        site.now_s += 300
        await eventually(lambda: process.lease.valid_until_s > site.now_s + 500)

    assert (process.lease.node, process.lease.owner) == (first.node, first.owner)
    assert len(site.cache.leases) == 1


async def test_a_lease_is_valid_from_before_it_was_asked_for(
    site: LeasingSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = site.cache.take_worker

    async def slow_answer(request: LeaseRequest) -> int | None:
        taken = await take(request)
        site.now_s += 100
        return taken

    monkeypatch.setattr(MemoryCache, "take_worker", lambda _, request: slow_answer(request))
    process = await site.process().started()

    (_, end_s) = site.cache.leases[f"worker:{process.lease.node}"]
    assert process.lease.valid_until_s <= end_s - LEASE_S / 20
    assert process.lease.valid_until_s == pytest.approx(site.now_s - 100 + LEASE_S * 0.95)


async def test_a_failed_renewal_keeps_the_lease_until_it_runs_out(site: LeasingSite) -> None:
    process = await site.process().started()
    node = process.lease.node
    site.cache.down = site.store.down = True

    site.now_s += LEASE_S * 0.94
    await some_renewals()
    assert process.node_of_next_id() == node

    site.now_s += LEASE_S * 0.02
    await some_renewals()
    with pytest.raises(IdsUnavailable):
        process.ids.next_id("1_2")


async def test_moves_to_the_store_before_the_lease_runs_out(site: LeasingSite) -> None:
    process = await site.process().started()
    site.cache.down = True

    site.now_s = process.lease.valid_until_s - 0.001  # the next renewal would come too late

    await eventually(lambda: not process.lease.fenced)
    assert process.node_of_next_id() % 32 >= 24


async def test_moves_back_to_the_cache_when_the_store_goes_away(site: LeasingSite) -> None:
    site.cache.down = True
    process = await site.process().started()
    site.cache.down, site.store.down = False, True

    site.now_s = process.lease.valid_until_s - 0.001

    await eventually(lambda: process.lease.fenced)
    process.ids.next_id("1_2")


async def test_takes_another_worker_id_when_its_own_is_lost(site: LeasingSite) -> None:
    process = await site.process().started()
    first = process.lease

    site.cache.leases[f"worker:{first.node}"] = ("another", site.now_s + LEASE_S)

    await eventually(lambda: process.lease.owner != first.owner)
    assert process.lease.node != first.node
    assert site.cache.leases[f"worker:{first.node}"][0] == "another"


async def test_gives_no_more_ids_when_its_worker_id_is_lost_and_no_other_is_free(
    site: LeasingSite,
) -> None:
    process = await site.process().started()

    for worker in range(32):
        leases = site.cache.leases if worker < 24 else site.store.leases
        leases[f"worker:{3 * 32 + worker}"] = ("another", site.now_s + LEASE_S)

    await eventually(lambda: process.ids.lease is None)


async def test_takes_one_new_worker_id_for_all_who_lost_the_old_one(site: LeasingSite) -> None:
    process = await site.process().started()
    first = process.lease
    site.cache.leases[f"worker:{first.node}"] = ("another", site.now_s + LEASE_S)

    process.ids.use(None)
    await asyncio.gather(*(process.keeper.ensure() for _ in range(10)))

    assert process.node_of_next_id() == process.lease.node != first.node
    assert len(site.cache.leases) == 2


async def test_asks_nobody_while_it_has_a_valid_lease(
    site: LeasingSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_lease, "LONGEST_PAUSE_S", 60.0)
    process = await site.process().started()
    site.cache.down = site.store.down = True
    site.now_s += LEASE_S * 0.94

    await process.keeper.ensure()


async def test_takes_back_what_was_let_go_by_mistake(site: LeasingSite) -> None:
    process = await site.process().started()
    first = process.lease

    process.ids.use(None)
    await process.keeper.ensure()

    assert (process.lease.node, process.lease.owner) == (first.node, first.owner)


async def test_does_not_go_back_to_a_lost_worker_id_when_the_cache_goes_away(
    site: LeasingSite,
) -> None:
    process = await site.process().started()
    first = process.lease
    site.cache.down = True

    process.ids.use(None)
    await process.keeper.ensure()

    assert process.lease.node != first.node
    assert not process.lease.fenced


async def test_a_process_that_was_paused_stops_by_itself_until_it_has_renewed(
    site: LeasingSite,
) -> None:
    process = await site.process().started()

    site.now_s += LEASE_S  # no task of this process runs meanwhile
    with pytest.raises(IdsUnavailable):
        process.ids.next_id("1_2")

    await eventually(lambda: process.lease.valid_until_s > site.now_s)
    process.ids.next_id("1_2")


async def test_a_worker_id_that_is_given_back_rests_for_a_minute(site: LeasingSite) -> None:
    process = await site.process().started()
    name = f"worker:{process.lease.node}"

    await process.keeper.close()
    await process.keeper.close()

    with pytest.raises(IdsUnavailable):
        process.ids.next_id("1_2")
    site.now_s += 59
    assert not await site.cache.take_lease(name, "another", 60)
    site.now_s += 2
    assert await site.cache.take_lease(name, "another", 60)


async def test_can_be_closed_when_it_never_had_a_lease_and_when_the_cache_is_away(
    site: LeasingSite,
) -> None:
    await site.process().keeper.close()
    process = await site.process().started()
    site.cache.down = True

    await process.keeper.close()

    assert process.ids.lease is None


async def test_an_unexpected_failure_does_not_end_the_renewals(
    site: LeasingSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await site.process().started()
    take = site.cache.take_worker
    failures = 0

    async def fails_first(request: LeaseRequest) -> int | None:
        nonlocal failures
        failures += 1
        if failures < 3:
            raise RuntimeError("a bug")
        return await take(request)

    monkeypatch.setattr(MemoryCache, "take_worker", lambda _, request: fails_first(request))
    site.now_s += 100

    await eventually(lambda: process.lease.valid_until_s > site.now_s + 500)


class TestAClockThatWasAhead:
    """The clock is set right again, so some given ids bear times that are still to come."""

    @pytest.fixture
    async def ahead(self, site: LeasingSite) -> LeasingProcess:
        process = site.process()
        process.wall.ahead_ms = TEN_MINUTES_MS
        await process.started()
        process.ids.next_id("1_2")
        return process

    async def test_takes_another_worker_id_at_once_and_goes_on_at_the_real_time(
        self, ahead: LeasingProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ahead.keeper, "_pause_s", 60.0)
        await some_renewals()
        first, last = ahead.lease, ahead.ids.next_id("1_2")
        ahead.wall.ahead_ms = 0
        given = [ahead.ids.next_id("1_2")]
        await eventually(lambda: ahead.lease.node != first.node)
        given.append(ahead.ids.next_id("1_2"))

        assert time_of_id(given[0]) == NOW_MS + TEN_MINUTES_MS
        assert time_of_id(given[1]) == NOW_MS
        assert len({last, *given}) == 3
        assert ahead.ids.clock is ClockHealth.SET_BACK

    async def test_keeps_its_worker_id_after_a_small_step(self, ahead: LeasingProcess) -> None:
        first, last = ahead.lease, ahead.ids.next_id("1_2")
        ahead.wall.ahead_ms -= 3_000
        assert ahead.ids.next_id("1_2") > last
        await some_renewals()
        assert ahead.lease.node == first.node

    async def test_goes_on_where_nobody_can_lease_it_another(
        self, site: LeasingSite, ahead: LeasingProcess
    ) -> None:
        site.cache.down = site.store.down = True
        ahead.wall.ahead_ms = 0
        given = [ahead.ids.next_id("1_2") for _ in range(10_000)]
        await some_renewals()
        given += [ahead.ids.next_id("1_2") for _ in range(10_000)]
        assert given == sorted(set(given))

        site.cache.down = False
        await eventually(lambda: time_of_id(ahead.ids.next_id("1_2")) == NOW_MS)

    @pytest.mark.parametrize("is_closed", [False, True])
    async def test_leaves_its_worker_id_to_nobody_who_could_repeat_an_id(
        self, site: LeasingSite, ahead: LeasingProcess, is_closed: bool
    ) -> None:
        """The process ends or is killed, and its lease runs out before its ids' times are past."""
        node, last = ahead.lease.node, ahead.ids.next_id("1_2")
        ahead.wall.ahead_ms = 2 * TEN_MINUTES_MS
        if is_closed:
            await ahead.keeper.close()
        else:
            assert ahead.keeper._renewals is not None
            ahead.keeper._renewals.cancel()
        site.now_s += LEASE_S / 2
        site.cache.leases.clear()

        others = [await site.process().started() for _ in range(32)]
        (late,) = [other for other in others if other.lease.node == node]
        assert late is others[-1]
        assert late.ids.next_id("1_2") > last

    async def test_of_the_store_leaves_its_worker_id_as_carefully(self, site: LeasingSite) -> None:
        site.cache.down = True
        process = site.process()
        process.wall.ahead_ms = TEN_MINUTES_MS
        await process.started()
        node, last = process.lease.node, process.ids.next_id("1_2")
        await process.keeper.close()
        site.now_s += 61

        others = [await site.process().started() for _ in range(8)]
        (late,) = [other for other in others if other.lease.node == node]
        assert late is others[-1]
        assert late.ids.next_id("1_2") > last
