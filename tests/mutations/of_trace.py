"""List the mutations of the fate that a trace tells."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, pytest_of

TRACES = pytest_of("tests/unit/trace")

MUTATIONS = (
    Mutation(
        "tell a pending message as persisted",
        "messaging/audit/fates.py",
        "        return Fate.PENDING\n",
        "        return Fate.PERSISTED\n",
        TRACES,
    ),
    Mutation(
        "tell a dead letter as unaccounted",
        "messaging/audit/fates.py",
        "        return Fate.DEAD_LETTER\n",
        "        return Fate.UNACCOUNTED\n",
        TRACES,
    ),
    Mutation(
        "call a fate certain while the database is away",
        "messaging/trace/tracer.py",
        "is_certain=stored is not None\n            and (",
        "is_certain=(",
        TRACES,
    ),
    Mutation(
        "call an id unknown while a place is away",
        "messaging/trace/facts.py",
        "        if not trace.is_certain:\n            return [Fact(Text.IS_NOT_CLEAR)]\n",
        "",
        TRACES,
    ),
    Mutation(
        "call an id unaccounted in JSON while a place is away",
        "messaging/trace/report.py",
        "is_settled = trace.is_certain and trace.is_known",
        "is_settled = trace.is_known",
        TRACES,
    ),
)
