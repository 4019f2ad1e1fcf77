"""Watch the deadlines of many calls under way with one timer.

A timer for each call would cost more than many of the calls do.

Pure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class DeadlineQueue(Generic[Item]):
    """Hold items until their owner discards them or their deadline passes, on one event loop.

    Items come in the order of their deadlines, or nearly so: an item is looked at only when no item
    in front of it has time left.
    `on_overdue`: called once with each item whose deadline has passed; the item has left the queue.
    `pause_s`: the time between two checks, by which an item may be late. Without it the timer is
    set to the oldest deadline.
    """

    def __init__(self, on_overdue: Callable[[Item], None], *, pause_s: float | None = None) -> None:
        self._on_overdue = on_overdue
        self._pause_s = pause_s
        self._deadlines_s: dict[Item, float] = {}  # the oldest first
        self._timer: asyncio.TimerHandle | None = None

    def add(self, item: Item, deadline_s: float) -> None:
        """Watch an item until this deadline, in the event loop's time."""
        self._deadlines_s[item] = deadline_s
        if self._timer is None:
            self._set_timer(asyncio.get_running_loop(), deadline_s)

    def discard(self, item: Item) -> None:
        """Forget an item that has ended, if the queue still holds the item."""
        self._deadlines_s.pop(item, None)

    def drain(self) -> list[Item]:
        """End the timer, forget all items and return them, the oldest first."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        items = list(self._deadlines_s)
        self._deadlines_s.clear()
        return items

    def _set_timer(self, loop: asyncio.AbstractEventLoop, oldest_s: float) -> None:
        at_s = oldest_s if self._pause_s is None else loop.time() + self._pause_s
        self._timer = loop.call_at(at_s, self._expire_due)

    def _expire_due(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        overdue: list[Item] = []
        for item, deadline_s in self._deadlines_s.items():
            if deadline_s > now_s:
                self._set_timer(loop, deadline_s)
                break
            overdue.append(item)
        for item in overdue:
            if self._deadlines_s.pop(item, None) is not None:  # not discarded by a call before
                self._on_overdue(item)
