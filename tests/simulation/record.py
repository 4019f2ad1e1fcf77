"""Record the clients' calls and their answers in a schedule, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from messaging.domain.message import ChatType, Message
from messaging.pipeline.queued_send import Durability
from tests.simulation.lives import Life


@dataclass(slots=True, eq=False)
class Said:
    """One thing said: a send with its retries, and what became of it as its clients know.

    Moments are ticks, which count every beginning and every end of a request. `ids` are those that
    were acknowledged; more than one where a retry was not known as such. Each of them is good for
    ever, and a recall or a delete by one of them is that of the message.
    """

    content: str
    sender: int
    target: int
    chat_type: ChatType
    conversation: str
    client_msg_id: str | None
    is_bad_data: bool  # the store refuses it
    ids: list[int] = field(default_factory=list)
    durabilities: list[Durability] = field(default_factory=list)
    accepted_by: dict[int, Life] = field(default_factory=dict, repr=False)  # by id
    attempts: list[int] = field(default_factory=list)  # when each began
    acknowledged: int | None = None
    recall_begun: bool = False
    recalled: int | None = None
    delete_begun: set[int] = field(default_factory=set)  # users
    deleted: dict[int, int] = field(default_factory=dict)  # when each of them was told


@dataclass(slots=True, frozen=True)
class Total:
    """How many messages a page that is not partial said there are, and when it was asked for."""

    begun: int
    ended: int
    count: int


@dataclass(slots=True, eq=False)
class Read:
    """Record the messages that one reader saw of one conversation, `whole` or not.

    `stored` are the messages that the store had when it began, and whether they were recalled;
    `orphaned` those that only the log had then: who accepted them has died, or has lost the cache
    alone.
    """

    reader: int
    conversation: str
    begun: int
    stored: Mapping[int, bool]
    orphaned: Set[int]
    seen: Sequence[Message] = ()
    whole: bool = False
    partial: bool = False
    totals: list[Total] = field(default_factory=list)  # of its pages


@dataclass(slots=True)
class BrokenPromise:
    """A promise that was broken."""

    kind: str
    text: str


@dataclass(slots=True)
class ScheduleRecord:
    """Everything that a schedule's clients did."""

    said: list[Said] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    violations: list[BrokenPromise] = field(default_factory=list)
    now: int = 0

    def tick(self) -> int:
        self.now += 1
        return self.now

    def violate(self, kind: str, text: str) -> None:
        self.violations.append(BrokenPromise(kind, text))
