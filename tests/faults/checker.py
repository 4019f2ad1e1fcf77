"""Compare a transcript and the rows stored in the end with the promise of the service.

Pure. An operation without a clear answer may or may not have been done. A read is judged by the
operations that had been acknowledged when the read was invoked. A send is judged by every id that
its sender was told: each id leads to the one stored message, during the fault and after the fault.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tests.faults.guests import Guests
from tests.faults.sends import NEVER, Send, SendsById
from tests.faults.transcript import (
    NOT_FOUND,
    REUSED,
    TOLD,
    Operation,
    ShownMessage,
    StoredMessage,
    Transcript,
)


class ViolationKind(StrEnum):
    LOST = "lost"  # acknowledged, and not stored
    DOUBLED = "doubled"  # stored twice
    ALTERED = "altered"  # not what was sent, or not where
    RESURRECTED = "resurrected"  # content of a recalled message
    UNDELETED = "undeleted"  # shown to a reader who had deleted it
    UNSEEN = "unseen"  # acknowledged, and not where a reader should have found it
    DISORDERED = "disordered"  # a page that repeats or is out of order
    MISNUMBERED = "misnumbered"  # a `seq` that is missing, used twice or changed
    UNSENT = "unsent"  # stored, and never sent or clearly refused
    TWO_IDS = "two ids"  # told for one clientMsgId, or its repeat refused
    DEAD_ID = "dead id"  # acknowledged, and leads to nothing or to another message
    FAILED = "failed"  # an answer that is neither a result nor an anticipated refusal
    STUCK = "stuck"  # not drained by itself
    ASTRAY = "astray"  # a client on sync, or a number of unread messages, differs from the history
    TRESPASSED = "trespassed"  # an answer from a group to a user who was out of it
    SUNK = "sunk"  # shown to somebody who came into the group only later
    NOTICED = "noticed"  # abuse by somebody else, by an ordinary client
    UNAVAILABLE = "unavailable"  # a fault in which sends should have been taken, or not


ASKS = ("get", "recall", "delete")


@dataclass(frozen=True, slots=True)
class Violation:
    kind: ViolationKind
    what: str


def check(transcript: Transcript) -> list[Violation]:
    """Return everything that breaks the promise, each violation once."""
    sends, guests = SendsById(transcript), Guests(transcript)
    found = [
        *_judge_answers(transcript, sends),
        *_judge_rows(sends),
        *_judge_numbers(transcript),
        *_judge_reads(transcript, sends, guests),
        *_judge_guests(transcript, sends, guests),
        *_judge_told(transcript, sends, guests),
    ]
    return list(dict.fromkeys(found))


def _judge_answers(transcript: Transcript, sends: SendsById) -> Iterator[Violation]:
    for operation in transcript.operations:
        if operation.status >= 500 and operation.status != 503:
            yield Violation(
                ViolationKind.FAILED, f"{operation.kind} was answered {operation.status}"
            )
        if operation.kind == "send" and operation.code == REUSED:
            yield Violation(
                ViolationKind.TWO_IDS, f"repeat of {operation.client_msg_id} was refused"
            )
    for send in sends.all.values():
        if len(send.told) > 1:
            yield Violation(ViolationKind.TWO_IDS, send.what)


def _judge_rows(sends: SendsById) -> Iterator[Violation]:
    for row in sends.strangers:
        yield Violation(ViolationKind.UNSENT, f"row {row.id} of {row.sender} in {row.conversation}")
    for send in sends.all.values():
        if send.told and not send.rows:
            yield Violation(ViolationKind.LOST, send.what)
        if len(send.rows) > 1:
            yield Violation(ViolationKind.DOUBLED, send.what)
        if send.rows and not send.maybe:
            yield Violation(ViolationKind.UNSENT, f"{send.what}: every attempt was refused")
        for row in send.rows:
            yield from _judge_row(send, row)


def _judge_row(send: Send, row: StoredMessage) -> Iterator[Violation]:
    if row.conversation != send.conversation:
        yield Violation(ViolationKind.ALTERED, f"{send.what} is stored in {row.conversation}")
    if row.is_recalled:
        if row.content or row.url or not send.maybe_recalled:
            yield Violation(ViolationKind.ALTERED, f"{send.what}: a row recalled wrongly")
    elif send.recalled_s < NEVER:
        yield Violation(ViolationKind.RESURRECTED, f"{send.what}: its row has its content")
    elif (row.content, row.url) != (send.content, send.url):
        yield Violation(ViolationKind.ALTERED, f"{send.what}: its row has another content")


def _judge_numbers(transcript: Transcript) -> Iterator[Violation]:
    numbers: dict[str, list[int]] = defaultdict(list)
    for row in transcript.rows:
        numbers[row.conversation].append(row.seq)
    for conversation, found in numbers.items():
        if sorted(found) != [*range(1, len(found) + 1)]:
            yield Violation(ViolationKind.MISNUMBERED, f"{conversation}: {sorted(found)}")
    for stored in transcript.conversations:
        if stored.last_seq != len(numbers[stored.id]):
            yield Violation(ViolationKind.MISNUMBERED, f"{stored.id} ends with {stored.last_seq}")
    final = {row.id: row.seq for row in transcript.rows}
    for operation in transcript.operations:
        for seen in operation.seen:
            if seen.seq is not None and final.get(seen.id) != seen.seq:
                yield Violation(
                    ViolationKind.MISNUMBERED, f"{seen.id}: {seen.seq}, then {final.get(seen.id)}"
                )


def _judge_reads(transcript: Transcript, sends: SendsById, guests: Guests) -> Iterator[Violation]:
    notices = {row.id: row.conversation for row in transcript.rows if row.is_notice}
    for operation in transcript.operations:
        for seen in operation.seen:
            if not seen.is_notice:
                yield from _judge_seen(operation, seen, sends.find(seen.id, seen.content))
            elif notices.get(seen.id) != operation.conversation:
                yield Violation(ViolationKind.ALTERED, f"notice {seen.id} that is not stored")
        is_guest = guests.has(operation.conversation, operation.user)
        if operation.kind == "history" and operation.outcome == "ok":
            yield from _judge_page(operation, sends, is_guest=is_guest)
        elif operation.code == NOT_FOUND and operation.kind in ASKS and not is_guest:
            yield from _judge_not_found(operation, sends)


def _judge_guests(transcript: Transcript, sends: SendsById, guests: Guests) -> Iterator[Violation]:
    for operation in transcript.operations:
        if guests.is_trespass(operation) and not sends.is_repeat(operation):
            what = f"{operation.kind} in {operation.conversation} at {operation.invoked_s:.3f}"
            yield Violation(ViolationKind.TRESPASSED, f"{what} by {operation.user}")
        hidden_s = guests.hidden_before_s(operation)
        for seen in operation.seen:
            send = sends.find(seen.id, seen.content)
            if send is not None and send.last_tried_s < hidden_s and send.acknowledged_s < hidden_s:
                yield Violation(ViolationKind.SUNK, f"{send.what} to {operation.user}")


def _judge_seen(operation: Operation, seen: ShownMessage, send: Send | None) -> Iterator[Violation]:
    if send is None:
        yield Violation(
            ViolationKind.ALTERED, f"{seen.id} in {operation.conversation}: nobody sent it"
        )
        return
    if send.conversation != operation.conversation:
        yield Violation(ViolationKind.ALTERED, f"{send.what} was shown in {operation.conversation}")
    if operation.invoked_s >= send.deleted_s.get(operation.user, NEVER):
        yield Violation(ViolationKind.UNDELETED, f"{send.what} to {operation.user}")
    if seen.is_recalled:
        if seen.content or seen.url:
            yield Violation(ViolationKind.RESURRECTED, f"{send.what}: content of a tombstone")
    elif operation.invoked_s >= send.recalled_s:
        yield Violation(
            ViolationKind.RESURRECTED, f"{send.what} to {operation.user} by {operation.kind}"
        )
    elif (seen.content, seen.url) != (send.content, send.url):
        yield Violation(ViolationKind.ALTERED, f"{send.what} to {operation.user}")


def _judge_page(page: Operation, sends: SendsById, *, is_guest: bool) -> Iterator[Violation]:
    """Judge that a page is a piece of the conversation without holes, newest first.

    The page of a guest may lack what was said before the guest came.
    """
    ids = [seen.id for seen in page.seen]
    below = page.before if page.before is not None else NEVER
    if ids != sorted(set(ids), reverse=True) or any(id_ >= below for id_ in ids):
        yield Violation(
            ViolationKind.DISORDERED, f"page of {page.conversation} before {page.before}"
        )
    shown = [id(sends.find(seen.id, seen.content)) for seen in page.seen if not seen.is_notice]
    if len(shown) != len(set(shown)):
        yield Violation(ViolationKind.TWO_IDS, f"page of {page.conversation} shows a message twice")
    if page.partial or is_guest:
        return
    lowest = min(ids, default=below) if page.has_more else 0
    listed = set(ids)
    for send in sends.of_conversation[page.conversation]:
        if send.acknowledged_s > page.invoked_s or _may_hide(send, page) or send.ids & listed:
            continue
        if all(lowest < id_ < below for id_ in send.ids):  # a duplicate may lie elsewhere
            own = "its sender" if send.sender == page.user else str(page.user)
            yield Violation(ViolationKind.UNSEEN, f"{send.what} by {own}")


def _may_hide(send: Send, read: Operation) -> bool:
    return send.maybe_deleted_s.get(read.user, NEVER) <= read.completed_s


def _judge_not_found(operation: Operation, sends: SendsById) -> Iterator[Violation]:
    """Yield a violation where an acknowledged id is not found by somebody who may see it.

    A reader who has deleted the message gets no content of it, but may recall and delete it again.
    """
    assert operation.message_id is not None
    send = sends.find(operation.message_id)
    if send is None or send.told.get(operation.message_id, NEVER) > operation.invoked_s:
        return
    if operation.kind != "get" or not _may_hide(send, operation):
        what = f"{send.what}: {operation.message_id} not found by {operation.kind}"
        yield Violation(ViolationKind.DEAD_ID, what)


def _judge_told(transcript: Transcript, sends: SendsById, guests: Guests) -> Iterator[Violation]:
    """Yield a violation for each told id that does not lead to its row once all is well again.

    A guest, who is out by then, does not ask.
    """
    begun_s = transcript.at(TOLD)
    asked = {
        operation.message_id: operation
        for operation in transcript.operations
        if operation.kind == "get" and operation.invoked_s >= begun_s
    }
    for send in sends.all.values():
        if guests.has(send.conversation, send.sender):
            continue
        rows = {row.id for row in send.rows}
        for message_id in send.told:
            read = asked.get(message_id)
            if read is None or (read.outcome != "ok" and read.code != NOT_FOUND):
                answer = "was not asked for" if read is None else f"was answered {read.status}"
                yield Violation(ViolationKind.DEAD_ID, f"{send.what}: {message_id} {answer}")
            elif read.seen and read.seen[0].id not in rows:
                shown = read.seen[0].id
                yield Violation(
                    ViolationKind.DEAD_ID, f"{send.what}: {message_id} leads to {shown}"
                )
