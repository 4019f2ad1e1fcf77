"""Check that each mutation fits the code, and that quick checks catch their mutations."""

from __future__ import annotations

import pytest

from tests.mutations.copies import mutated, mutated_text, passes
from tests.mutations.mutation import Mutation
from tests.mutations.mutations import MUTATIONS

AT_ONCE = (
    "commit positions before the database has the records",
    "drop the pending mark (Redis)",
    "PERSIST overwrites RECALL (join)",
    "PERSIST overwrites RECALL (SQL)",
    "the recall mark has a short time to live",
    "fill the shared cache with one reader's rows",
    "give seq out of the cache",
)


def named(mutation: Mutation) -> str:
    return mutation.name


@pytest.mark.parametrize("mutation", MUTATIONS, ids=named)
def test_it_replaces_a_text_that_is_there_once(mutation: Mutation) -> None:
    assert mutated_text(mutation)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutation", [m for m in MUTATIONS if m.name in AT_ONCE], ids=named)
def test_it_is_noticed(mutation: Mutation) -> None:
    with mutated(mutation) as copy:
        passed, said = passes(mutation.check, copy)
    assert not passed, said
