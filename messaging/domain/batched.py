"""Cut sequences into batches, and ask about the items of one batch after the other.

Pure. Python 3.12 has `itertools.batched`, which makes tuples; here slices suffice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield the items in order, in batches of this size; the last batch may be smaller."""
    return (items[first : first + size] for first in range(0, len(items), size))


async def ask_batched(
    items: Sequence[Item], size: int, ask: Callable[[Item], Awaitable[Answer]]
) -> list[Answer]:
    """Return the answers in the order of the items, of which so many are asked about at a time."""
    answers: list[Answer] = []
    for part in batched(items, size):
        answers += await asyncio.gather(*map(ask, part))
    return answers
