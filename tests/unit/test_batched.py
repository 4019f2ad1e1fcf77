"""Check that batches hold all items once, in their order."""

from __future__ import annotations

import pytest

from messaging.domain.batched import batched


@pytest.mark.parametrize(
    ("count", "batches"),
    [(0, []), (1, [[0]]), (3, [[0, 1, 2]]), (4, [[0, 1, 2], [3]]), (6, [[0, 1, 2], [3, 4, 5]])],
)
def test_only_the_last_batch_may_be_smaller(count: int, batches: list[list[int]]) -> None:
    assert list(batched(list(range(count)), 3)) == batches
