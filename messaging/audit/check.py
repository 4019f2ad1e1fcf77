"""Define what an audit consists of: its parts, and checks that walk, judge and mend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from messaging.audit.findings import Subject, Suspect
from messaging.pipeline.compensation import Compensator
from messaging.ports.audit import CacheInspector, LogInspector, Pieces, StoreInspector
from messaging.ports.cache import MessageCache
from messaging.ports.conversations import ConversationStore
from messaging.ports.group_audit import GroupInspector
from messaging.ports.store import MessageStore

AT_ONCE = 500
COUNTED_AT_ONCE = 20_000  # rows that one query counts, or those of one subject

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditBackends:
    """Hold the ports that an audit reads, and those that it mends with."""

    cache: MessageCache
    store: MessageStore
    conversations: ConversationStore
    cached: CacheInspector
    stored: StoreInspector
    groups: GroupInspector
    log: LogInspector
    compensator: Compensator


@dataclass(frozen=True, slots=True)
class Step(Generic[Subject]):
    """Hold one piece of a walk: how many subjects were examined, and which are suspect.

    `done` is the share of the walk that lies behind, 0 to 1.
    """

    done: float
    examined: int
    suspects: Sequence[Suspect[Subject]]


class Check(ABC, Generic[Subject]):
    """Check every subject of one kind.

    A subject that looks wrong may only be moving. So a suspect counts when `judge` returns it again
    each time, after some time, and `conclude` does not clear it.
    """

    title: str

    def __init__(self, backends: AuditBackends) -> None:
        self._backends = backends

    async def walk(self) -> AsyncIterator[Step[Subject]]:
        """Judge every subject once."""
        async for done, subjects in self.subjects():
            yield Step(done, len(subjects), await self.judge(subjects))

    def subjects(self) -> Pieces[Subject]:
        """Yield every subject, in pieces, each with the share of the walk that is done.

        A check with a `walk` of its own has no such method.
        """
        raise NotImplementedError

    @abstractmethod
    async def judge(self, subjects: Sequence[Subject]) -> list[Suspect[Subject]]:
        """Return the suspects among these subjects, as things are now."""

    async def conclude(self, suspects: Sequence[Suspect[Subject]]) -> list[Suspect[Subject]]:
        """Return the suspects that remain after a last and expensive check.

        The suspects given are those that `judge` has returned each time.
        """
        return list(suspects)

    async def mend(self, suspects: Sequence[Suspect[Subject]]) -> None:
        """Put right what can be put right.

        Safe to repeat.
        """

    def leave(self, suspects: Sequence[Suspect[Subject]]) -> None:
        """Note that these suspects stay as they are."""


def runs(subjects: Sequence[tuple[Key, int]]) -> list[list[Key]]:
    """Group subjects whose rows one query may count; each comes with its number of rows."""
    grouped: list[list[Key]] = []
    room = 0
    for key, rows in subjects:
        if not grouped or rows > room:
            grouped.append([])
            room = COUNTED_AT_ONCE
        grouped[-1].append(key)
        room -= rows
    return grouped
