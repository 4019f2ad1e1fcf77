"""Check that everything acknowledged is stored, one conversation at a time.

The text of a message is made anew from its tag. So a check of a million messages holds their ids
and tags and one conversation's rows, and no text but the one in hand. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from functools import cached_property
from typing import NamedTuple

from bench.load.content import client_msg_id_of, text_of
from bench.load.receipts import RECALLED, sender_of, sent_of
from messaging.domain.message import Status

MAX_SEQ = 1 << 26


class PersistedRow(NamedTuple):
    """Hold a stored message."""

    id: int
    seq: int
    status: int
    client_msg_id: str
    content: str


@dataclass(slots=True)
class CheckFindings:
    """Count messages by what was found; those from `missing` to `unrecalled` must be none.

    missing: acknowledged, and not stored.
    doubled: stored twice, or one id was told for two sends.
    altered: stored with another text or name.
    disordered: the id is below that of an earlier message of the same sender.
    gaps: numbers that the conversation has skipped or used twice.
    unrecalled: the recall was acknowledged, and the message still has its content.
    overtaken: stored, and numbered, after a later message of the same sender, as may happen to
    messages that the compensation had to store; readers see the order of ids all the same.
    unacknowledged: stored, though the answer was lost.
    """

    acknowledged: int = 0
    recalled: int = 0
    stored: int = 0
    missing: int = 0
    doubled: int = 0
    altered: int = 0
    disordered: int = 0
    gaps: int = 0
    unrecalled: int = 0
    overtaken: int = 0
    unacknowledged: int = 0

    @property
    def failures(self) -> dict[str, int]:
        """Return the counts of what must not be, by the words of the verdict."""
        counts = {
            "missing": self.missing,
            "stored twice": self.doubled,
            "altered": self.altered,
            "out of order": self.disordered,
            "gaps in the numbers": self.gaps,
            "recalled and still legible": self.unrecalled,
        }
        return {what: count for what, count in counts.items() if count}

    def add(self, other: CheckFindings) -> None:
        for field, mine, theirs in zip(fields(self), astuple(self), astuple(other), strict=True):
            setattr(self, field.name, mine + theirs)


class ConversationCheck:
    """Check one conversation that belongs to the run alone.

    `items` are the ids and tags of its acknowledged messages, alternating, in each sender's order.
    """

    def __init__(self, items: Sequence[int], *, run: str, text_bytes: int) -> None:
        self.findings = CheckFindings()
        self._run = run
        self._text_bytes = text_bytes
        self._recalled: set[int] = set()
        self._tags: dict[int, int] = {}
        last_ids: dict[int, int] = {}
        for message_id, tag in zip(items[::2], items[1::2], strict=True):
            if tag & RECALLED:
                self._recalled.add(message_id)
            else:
                self._acknowledge(message_id, tag, last_ids)

    def _acknowledge(self, message_id: int, tag: int, last_ids: dict[int, int]) -> None:
        sender = sender_of(tag)
        self.findings.acknowledged += 1
        self.findings.doubled += message_id in self._tags
        self.findings.disordered += message_id < last_ids.get(sender, 0)
        self._tags[message_id] = tag
        last_ids[sender] = message_id

    def examine(self, rows: Iterable[PersistedRow]) -> CheckFindings:
        """Compare with all rows of the conversation, which come in the order of their ids."""
        findings = self.findings
        findings.recalled = len(self._recalled)
        numbers = bytearray()
        last_seqs: dict[int, int] = {}
        known = 0
        for row in rows:
            findings.stored += 1
            _note(numbers, row.seq)
            tag = self._tags.get(row.id)
            if tag is None:
                self._examine_unknown(row)
                continue
            known += 1
            self._examine_known(row, tag)
            findings.overtaken += row.seq < last_seqs.get(sender_of(tag), 0)
            last_seqs[sender_of(tag)] = row.seq
        findings.missing = len(self._tags) - known
        findings.gaps = max(len(numbers), findings.stored) - numbers.count(1)
        return findings

    def _examine_known(self, row: PersistedRow, tag: int) -> None:
        sent = sent_of(tag)
        if row.client_msg_id != client_msg_id_of(sent, run=self._run):
            self.findings.altered += 1
        elif row.id in self._recalled:
            self.findings.unrecalled += row.status != Status.RECALLED or bool(row.content)
        elif row.status != Status.NORMAL or row.content != text_of(
            sent, run=self._run, size=self._text_bytes
        ):
            self.findings.altered += 1

    def _examine_unknown(self, row: PersistedRow) -> None:
        """Count a row that was acknowledged under another id, or never."""
        if row.client_msg_id in self._names:
            self.findings.doubled += 1
        else:
            self.findings.unacknowledged += 1

    @cached_property
    def _names(self) -> set[str]:
        return {client_msg_id_of(sent_of(tag), run=self._run) for tag in self._tags.values()}


def _note(numbers: bytearray, seq: int) -> None:
    """Mark a number as used; an unreasonable number counts as a gap by not being marked."""
    if not 1 <= seq <= MAX_SEQ:
        return
    if seq > len(numbers):
        numbers.extend(bytes(seq - len(numbers)))
    numbers[seq - 1] = 1
