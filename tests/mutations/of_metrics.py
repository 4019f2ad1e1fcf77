"""List the mutations of what is counted."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, pytest_of

COUNTING = pytest_of("tests/unit/pipeline/test_counting.py")
REQUESTS = pytest_of("tests/integration/test_counted_requests.py")

MUTATIONS = (
    Mutation(
        "count the lag of a replayed message again",
        "messaging/store/apply.py",
        "fresh=frozenset(m.id for m in fresh)",
        "fresh=frozenset(rows)",
        pytest_of("tests/contract/store/test_apply.py", "-k", "inserted and database"),
    ),
    Mutation(
        "count no lag of what a sweep confirms",
        "messaging/pipeline/compensation.py",
        "duplicates, fresh=unshown)",
        "duplicates)",
        COUNTING,
    ),
    Mutation(
        "count a negative lag after the clock was set back",
        "messaging/pipeline/counting.py",
        "max(0, now_ms - time_of_id(each))",
        "(now_ms - time_of_id(each))",
        COUNTING,
    ),
    Mutation(
        "count a repeat as a new send",
        "messaging/service/receipts.py",
        "        repeats=True,\n",
        "",
        COUNTING,
    ),
    Mutation(
        "count a full queue as a request that is not allowed",
        "messaging/pipeline/accept.py",
        "            raise QueueFull\n",
        "            raise ApiError\n",
        COUNTING,
    ),
    Mutation(
        "count the gateway's requests as Django's",
        "imsite/asgi.py",
        '            door = "gateway"\n',
        "",
        REQUESTS,
    ),
    Mutation(
        "count a value in the bucket above its edge",
        "messaging/metrics/families.py",
        "            cell[bisect_left(self.edges, value)] += 1\n            cell[-1] += value\n",
        "            cell[bisect_left(self.edges, value) + 1] += 1\n"
        "            cell[-1] += value\n",
        pytest_of("tests/unit/metrics"),
    ),
    Mutation(
        "write no last snapshot at the end of a process",
        "messaging/metrics/writer.py",
        "        self._write(is_over=True)\n",
        "",
        pytest_of("tests/unit/metrics"),
    ),
)
