"""Name the fates of messages and the kinds of disagreement that an audit can find.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Generic, Self, TypeVar

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
    """Name what is wrong, as JSON names it; `meaning` explains it to a person."""

    meaning: str

    UNACCOUNTED = "unaccounted", "accepted, and found nowhere"
    STUCK = "stuck", "pending for too long"
    STILL_PENDING = "still_pending", "stored, and still marked pending"
    RECALL_NOT_STORED = "recall_not_stored", "recalled, and not recalled in the database"
    LOG_DIFFERS = "log_differs", "stored with another value than in the log"
    RECORD_STALE = "record_stale", "a cached clientMsgId leads to a repeat of another message"
    LETTER_MISSING = "letter_missing", "a committed record that is no event and has no dead letter"
    RECALLED_SHOWN = "recalled_shown", "recalled, and the cache still shows its content"
    DETAIL_PENDING = "detail_pending", "stored, and cached as PENDING"
    DETAIL_DIFFERS = "detail_differs", "cached with another value than in the database"
    MARK_LEFT = "mark_left", "a recall mark whose tombstone is stored"
    LIST_LACKS = "list_lacks", "a cached list is marked complete and lacks stored messages"
    LIST_ORPHAN = "list_orphan", "a cached list holds a message that is neither stored nor pending"
    LIST_COUNT = "list_count", "a cached list has a wrong count of its conversation"
    PENDING_UNLISTED = (
        "pending_unlisted",
        "pending, and missing in the cached list, so that no reader finds it",
    )
    DELETES_LACK = "deletes_lack", "a user's cached deletes are marked complete and lack one"
    DELETES_ORPHAN = (
        "deletes_orphan",
        "a user's cached deletes have a message that the user has not deleted",
    )
    LISTING_BEHIND = "listing_behind", "a user's cached list lacks a change that is stored"
    UNREAD_DIFFERS = "unread_differs", "a cached number of unread messages is no recount"
    FLOORS_DIFFER = "floors_differ", "a user's cached floor is not that of the participant"
    ROW_STATUS = "row_status", "stored, and marked as not stored"
    ROW_ALTERED = "row_altered", "stored with another value than was sent"
    TOMBSTONE_SPEAKS = "tombstone_speaks", "recalled, and the row still has its content"
    KEY_MISSING = "key_missing", "stored without its clientMsgId"
    KEY_OTHER = "key_other", "stored, though its clientMsgId leads to another message"
    NOTICE = "notice", "a notice that tells nothing or is recalled, or another message that tells"
    SEQ = "seq", "the seq numbers of a conversation have a gap or a repeat"
    REV = "rev", "the rev of a message is not that of its change, or above its conversation's"
    OWNER = "owner", "a group without an owner, or with several"
    MEMBER_COUNT = "member_count", "a group with another number of members than it says"
    PARTICIPANT_MISSING = (
        "participant_missing",
        "a member or a party of a conversation, and no participant of it",
    )
    PARTICIPANT_LEFT = "participant_left", "a participant of a group, and no member of it"
    FLOOR = "floor", "a participant's floor is above everything that was said"

    def __new__(cls, value: str, meaning: str) -> Self:
        defect = str.__new__(cls, value)
        defect._value_, defect.meaning = value, meaning
        return defect


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


class Tally(dict[str, bool]):
    """Hold the findings of one kind by name, and whether each of them is left.

    A finding is left that could not be mended, or was not to be mended. However many sources name a
    finding, it counts once.
    """

    @property
    def found(self) -> int:
        return len(self)

    @property
    def left(self) -> int:
        return sum(self.values())

    def examples(self, most: int) -> list[str]:
        return list(islice(self, most))


@dataclass(slots=True)
class Findings:
    """Hold everything that was found wrong, by kind."""

    kinds: dict[Defect, Tally] = field(default_factory=dict)

    def add(self, found: Sequence[Suspect[Subject]], left: Sequence[Suspect[Subject]]) -> None:
        """Add findings; `left` are those that are still wrong after the mending.

        A subject in `left` may be wrong in another way than before.
        """
        for suspects, is_left in ((found, False), (left, True)):
            for suspect in suspects:
                self.kinds.setdefault(suspect.kind, Tally())[suspect.name] = is_left

    @property
    def left(self) -> dict[Defect, int]:
        """Return how many of each kind are left, without the kinds in TOLD_ONLY."""
        return {
            kind: tally.left
            for kind, tally in self.kinds.items()
            if tally.left and kind not in TOLD_ONLY
        }
