"""List the mutations of the numbers that the exporter serves."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, pytest_of

GATHERING = pytest_of("tests/unit/exporter/test_gathering.py")
ASKING = pytest_of("tests/unit/exporter/test_asking.py")

MUTATIONS = (
    Mutation(
        "count a process that stood still a second time",
        "messaging/exporter/gathering.py",
        "            self._accumulator.revive(path.name)\n",
        "",
        GATHERING,
    ),
    Mutation(
        "lose the counts of a dead process",
        "messaging/exporter/gathering.py",
        "        add(counts, self._accumulator.total())\n",
        "",
        GATHERING,
    ),
    Mutation(
        "lose the counts of a dead process on a full disk",
        "messaging/exporter/gathering.py",
        "            self._is_failing = True\n            return False\n",
        "            self._is_failing = True\n            return True\n",
        GATHERING,
    ),
    Mutation(
        "lose the folded counts at a restart of the exporter",
        "messaging/exporter/accumulator.py",
        "        self._rest = known(kept.rest)\n",
        "",
        GATHERING,
    ),
    Mutation(
        "tell the old number of a source that is away",
        "messaging/exporter/asking.py",
        "_Asked(time.monotonic(), answers)",
        "_Asked(\n"
        "                time.monotonic(), answers or getattr(\n"
        "                    self._asked.get(source.name), 'answers', None))",
        ASKING,
    ),
    Mutation(
        "take an old answer of a source for a fresh one",
        "messaging/exporter/asking.py",
        "each.answers if now_s - each.at_s <= STALE_AFTER_S else None",
        "each.answers",
        ASKING,
    ),
    Mutation(
        "call a source that has failed answered",
        "messaging/exporter/page.py",
        "(name,): each is not None for",
        "(name,): True for",
        pytest_of("tests/unit/exporter/test_page.py"),
    ),
)
