"""Name the fates of messages and the kinds of disagreement that an audit can find.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Generic, TypeVar

Subject = TypeVar("Subject")


class Fate(StrEnum):
    """Name what has become of an accepted message.

    Each accepted message has one of these fates, or is unaccounted.
    """

    PERSISTED = "persisted"
    RECALLED = "recalled"
    DUPLICATE = "duplicate"  # repeats an earlier send with its clientMsgId
    DEAD_LETTER = "dead letter"  # open: a person has to decide
    DISCARDED = "discarded"  # by a person
    PENDING = "pending"  # in the cache, to be persisted
    UNDER_WAY = "under way"  # in the log, behind what is committed
    UNACCOUNTED = "unaccounted"


class Defect(StrEnum):
    """Name what is wrong, as JSON names it.

    `MEANINGS` explains each kind to a person.
    """

    UNACCOUNTED = "unaccounted"
    STUCK = "stuck"
    STILL_PENDING = "still_pending"
    RECALL_NOT_STORED = "recall_not_stored"
    LOG_DIFFERS = "log_differs"
    RECORD_STALE = "record_stale"
    LETTER_MISSING = "letter_missing"
    RECALLED_SHOWN = "recalled_shown"
    DETAIL_PENDING = "detail_pending"
    DETAIL_DIFFERS = "detail_differs"
    MARK_LEFT = "mark_left"
    LIST_LACKS = "list_lacks"
    LIST_ORPHAN = "list_orphan"
    LIST_COUNT = "list_count"
    PENDING_UNLISTED = "pending_unlisted"
    DELETES_LACK = "deletes_lack"
    DELETES_ORPHAN = "deletes_orphan"
    ROW_STATUS = "row_status"
    ROW_ALTERED = "row_altered"
    TOMBSTONE_SPEAKS = "tombstone_speaks"
    KEY_MISSING = "key_missing"
    KEY_OTHER = "key_other"
    SEQ = "seq"


MEANINGS = {
    Defect.UNACCOUNTED: "accepted, and found nowhere",
    Defect.STUCK: "pending for too long",
    Defect.STILL_PENDING: "stored, and still marked pending",
    Defect.RECALL_NOT_STORED: "recalled, and not recalled in the database",
    Defect.LOG_DIFFERS: "stored with another value than in the log",
    Defect.RECORD_STALE: "a cached clientMsgId leads to a repeat of another message",
    Defect.LETTER_MISSING: "a committed record that is no event and has no dead letter",
    Defect.RECALLED_SHOWN: "recalled, and the cache still shows its content",
    Defect.DETAIL_PENDING: "stored, and cached as PENDING",
    Defect.DETAIL_DIFFERS: "cached with another value than in the database",
    Defect.MARK_LEFT: "a recall mark whose tombstone is stored",
    Defect.LIST_LACKS: "a cached list is marked complete and lacks stored messages",
    Defect.LIST_ORPHAN: "a cached list holds a message that is neither stored nor pending",
    Defect.LIST_COUNT: "a cached list has a wrong count of its conversation",
    Defect.PENDING_UNLISTED: "pending, and missing in the cached list, so that no reader finds it",
    Defect.DELETES_LACK: "a user's cached deletes are marked complete and lack one",
    Defect.DELETES_ORPHAN: "a user's cached deletes have a message that the user has not deleted",
    Defect.ROW_STATUS: "stored, and marked as not stored",
    Defect.ROW_ALTERED: "stored with another value than was sent",
    Defect.TOMBSTONE_SPEAKS: "recalled, and the row still has its content",
    Defect.KEY_MISSING: "stored without its clientMsgId",
    Defect.KEY_OTHER: "stored, though its clientMsgId leads to another message",
    Defect.SEQ: "the seq numbers of a conversation have a gap or a repeat",
}

TOLD_ONLY = frozenset({Defect.STUCK})  # accounted for, so no failure


@dataclass(frozen=True, slots=True)
class Suspect(Generic[Subject]):
    """Hold something that looks wrong until it has been judged often enough.

    `name` is for people. `fate` is the message's fate, where a message is being accounted for.
    """

    kind: Defect
    name: str
    subject: Subject
    fate: Fate | None = None


@dataclass(slots=True)
class Tally:
    """Hold the findings of one kind by name, each once however many sources name it."""

    _found: dict[str, None] = field(default_factory=dict)  # a set in its order
    _left: set[str] = field(default_factory=set)

    def add(self, found: Iterable[str], left: Iterable[str]) -> None:
        names = dict.fromkeys(found)
        self._found |= names
        self._left.difference_update(names)
        self._left.update(left)

    @property
    def found(self) -> int:
        return len(self._found)

    @property
    def left(self) -> int:
        """Return how many could not be mended, or were not to be mended."""
        return len(self._left)

    def examples(self, most: int) -> list[str]:
        return list(islice(self._found, most))


@dataclass(slots=True)
class Findings:
    """Hold everything that was found wrong, by kind."""

    kinds: dict[Defect, Tally] = field(default_factory=dict)

    def add(self, found: Sequence[Suspect[Subject]], left: Sequence[Suspect[Subject]]) -> None:
        """Add findings; `left` are those that are still wrong after the mending.

        A subject in `left` may be wrong in another way than before.
        """
        for kind in dict.fromkeys(suspect.kind for suspect in (*found, *left)):
            self.kinds.setdefault(kind, Tally()).add(
                [suspect.name for suspect in (*found, *left) if suspect.kind is kind],
                [suspect.name for suspect in left if suspect.kind is kind],
            )

    @property
    def is_clean(self) -> bool:
        """Tell whether nothing wrong is left, apart from the kinds in TOLD_ONLY."""
        return not any(tally.left for kind, tally in self.kinds.items() if kind not in TOLD_ONLY)
