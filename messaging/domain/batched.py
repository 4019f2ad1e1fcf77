"""Cut sequences into batches.

Pure. Python 3.12 has `itertools.batched`, which makes tuples; here slices suffice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield the items in order, in batches of this size; the last batch may be smaller."""
    return (items[first : first + size] for first in range(0, len(items), size))
