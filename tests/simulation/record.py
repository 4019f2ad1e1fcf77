"""Record in their order the requests of the clients of a schedule, and their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from messaging.domain.message import ChatType, Message
from messaging.pipeline.queued_send import Durability
from tests.simulation.group_acts import NEVER, GroupAct
from tests.simulation.lives import Life


@dataclass(slots=True, eq=False)
class Said:
    """Record one send with its retries, and everything that its clients know of the message.

    Moments are ticks, which count every beginning and every end of a request. `ids` are the
    acknowledged ids: more than one where a retry was not known as a retry. Each of these ids leads
    to the message for ever, and a recall or a delete by any of the ids is one of the message.
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
    attempts: list[int] = field(default_factory=list)  # the tick at which each began
    answered: list[int] = field(default_factory=list)  # the tick at which each was told an id
    acknowledged: int | None = None
    recall_begun: bool = False
    recalled: int | None = None
    delete_begun: set[int] = field(default_factory=set)  # users
    deleted: dict[int, int] = field(default_factory=dict)  # the tick at which each user was told


@dataclass(slots=True, frozen=True)
class Total:
    """Hold the total of a page that is not partial, and the ticks of the request."""

    begun: int
    ended: int
    count: int


@dataclass(slots=True, frozen=True)
class Answer:
    """Hold what one answer has shown, and the ticks of the request."""

    begun: int
    ended: int
    messages: Sequence[Message]


@dataclass(slots=True, eq=False)
class Read:
    """Record what one reader saw of one conversation; `whole` when it was read to the end.

    `stored`: the messages that the store had when the read began, and whether they were recalled.
    `orphaned`: the messages that only the log had then, because the process that accepted them has
    died, or has lost the cache alone.
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
    answers: list[Answer] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Clear:
    """Record that a user cleared a conversation; without an answer it ends at any later moment."""

    user: int
    conversation: str
    begun: int
    ended: int = NEVER


@dataclass(slots=True)
class BrokenPromise:
    """Describe a promise that was broken."""

    kind: str
    text: str


@dataclass(slots=True)
class ScheduleRecord:
    """Hold everything that the clients of a schedule did."""

    said: list[Said] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    acts: list[GroupAct] = field(default_factory=list)
    clears: list[Clear] = field(default_factory=list)
    marks: dict[tuple[int, str], int] = field(default_factory=dict)  # acknowledged, by participant
    violations: list[BrokenPromise] = field(default_factory=list)
    now: int = 0

    def tick(self) -> int:
        self.now += 1
        return self.now

    def note_mark(self, user: int, conversation: str, seq: int) -> None:
        self.marks[user, conversation] = max(self.marks.get((user, conversation), 0), seq)

    def violate(self, kind: str, text: str) -> None:
        self.violations.append(BrokenPromise(kind, text))
