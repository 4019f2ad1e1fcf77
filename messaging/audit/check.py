"""What the audit does again and again: walk, look, look again, mend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from messaging.audit.findings import Subject, Suspect
from messaging.pipeline.compensation import Compensator
from messaging.ports.audit import CacheInspector, LogInspector, StoreInspector
from messaging.ports.cache import MessageCache
from messaging.ports.store import MessageStore

AT_ONCE = 500
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an audit looks at, and what it mends with."""

    cache: MessageCache
    store: MessageStore
    cached: CacheInspector
    stored: StoreInspector
    log: LogInspector
    compensator: Compensator


@dataclass(frozen=True, slots=True)
class Step(Generic[Subject]):
    """A piece of a walk: how many were looked at, and what looked wrong. `done` is 0 to 1."""

    done: float
    looked_at: int
    suspects: Sequence[Suspect[Subject]]


class Check(ABC, Generic[Subject]):
    """One kind of thing, all of which can be walked.

    Whatever looks wrong at the first look may be on its way only: it counts when `judge` says so
    again after some time, each time, and `conclude` does not know better.
    """

    title: str

    @abstractmethod
    def walk(self) -> AsyncIterator[Step[Subject]]: ...

    @abstractmethod
    async def judge(self, subjects: Sequence[Subject]) -> list[Suspect[Subject]]:
        """Which of these look wrong now."""

    async def conclude(self, suspects: Sequence[Suspect[Subject]]) -> list[Suspect[Subject]]:
        """What is left after a last and dear look at what has looked wrong all the time."""
        return list(suspects)

    async def mend(self, suspects: Sequence[Suspect[Subject]]) -> None:
        """Put right what can be. Idempotent."""

    def leave(self, suspects: Sequence[Suspect[Subject]]) -> None:
        """Take note that these stay as they are."""


def pieces(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[first : first + AT_ONCE] for first in range(0, len(items), AT_ONCE))
