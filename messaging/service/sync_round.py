"""Plan a call of sync: which conversations it tells a client of, and how far in each.

Pure. A round of calls goes down the conversations that differ from the client's positions, by
activity, once. Conversations that change meanwhile are told after the round, so that a busy one
starves no quiet one. A conversation that cannot be told now is passed, and the calls end with such
a round, so that no client asks for it without a pause.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from messaging.domain.conversations import Entry
from messaging.domain.message import Message
from messaging.domain.sync_cursor import NOWHERE, Cursor, Position, Round
from messaging.domain.sync_requests import Order, SyncRequest
from messaging.limits import MAX_SYNCED_CONVERSATIONS, MAX_SYNCED_MESSAGES
from messaging.ports.conversations import Since, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Name what a client is told of one conversation.

    `known`: the client's position; None where the client begins at the reader's floor.
    `is_reset`: the client's position is not of this conversation, and the client begins anew.
    `start`: the `seq` up to which the client knows, or may not see, the messages.
    `low`, `high`: the messages to be told have a `seq` above the one and up to the other.
    `until`: the `seq` up to which a conversation is told in pages. `is_paged`: this is not the
    first page.
    `after`: the round, where the answer ends with this conversation.
    """

    entry: Entry
    known: Position | None
    is_reset: bool
    start: int
    low: int
    high: int
    until: int
    is_paged: bool
    after: Round

    @property
    def conversation_id(self) -> str:
        return self.entry.conversation_id

    @property
    def news(self) -> int:
        return self.high - self.low

    @property
    def may_be_cached(self) -> bool:
        """Tell whether cached messages are as new as the changes that the client knows.

        The cache may be behind a change whose number the client has, or is given here, without the
        change. No other message than those of the store may be told then.
        """
        is_known = self.known is not None or not self.entry.head.last_rev
        return is_known and not self.is_paged

    @property
    def span(self) -> Span:
        return Span(self.conversation_id, self.low, self.high, limit=self.news)

    @property
    def changes(self) -> Since | None:
        """Return the changes that the client is to be told; None where there are none.

        A client that begins anew is told the latest states.
        """
        last = self.entry.head.last_rev
        if self.known is None or last <= self.known.rev:
            return None
        return Since(self.conversation_id, self.known.rev, last)

    @property
    def deletes(self) -> Since | None:
        """Return the client's own changes, among which there may be deletes."""
        last = self.entry.participant.rev
        if self.known is None or last <= self.known.own_rev:
            return None
        return Since(self.conversation_id, self.known.own_rev, last)

    def has(self, message: Message) -> bool:
        return message.seq is not None and self.low < message.seq <= self.high

    @property
    def is_whole(self) -> bool:
        """Tell whether the round goes on to another conversation after this one."""
        return self.after.stays is None

    def tells(self, shown: Entry) -> bool:
        """Tell whether there is something to tell where the client is shown this entry."""
        return shown.has_pending or differs(self.known, shown)

    @property
    def passed(self) -> Round:
        """Return the round after this conversation, whether or not it was told."""
        return Round(self.after.below)

    def paged(self) -> Round:
        """Return the round after a page that ends below `high`."""
        return Round(self.after.below, self.conversation_id, self.until)


@dataclass(frozen=True, slots=True)
class Plan:
    """Hold the visits of a call in order; `is_cut`: the round goes on with the next call.

    `left`: conversations that the client knows and the user is out of.
    """

    visits: Sequence[Visit]
    left: Sequence[Entry]
    is_cut: bool


def is_ahead(position: Position, entry: Entry) -> bool:
    """Tell whether a client knows more of a conversation than there is, or than is known here."""
    return (
        position.seq > entry.head.last_seq
        or position.rev > entry.head.last_rev
        or position.own_rev > entry.participant.rev
    )


def differs(position: Position | None, entry: Entry) -> bool:
    """Tell whether there is something that a client at this position was not told."""
    if position is None or is_ahead(position, entry):
        return True
    return (
        entry.head.last_seq > max(position.seq, entry.participant.floor_seq)
        or entry.head.last_rev > position.rev
        or entry.participant.rev > position.own_rev
        or peer_differs(position, entry)
    )


def peer_differs(position: Position, entry: Entry) -> bool:
    """Tell whether the other party has read or got more than a client at this position knows."""
    peer = entry.peer
    return peer is not None and (
        peer.read_seq > position.peer_read or peer.delivered_seq > position.peer_delivered
    )


def plan(entries: Mapping[str, Entry], request: SyncRequest) -> Plan:
    """Plan a call within the limits of an answer.

    The call ends after a conversation that is told in pages. Where a round ends before the limits,
    the call begins the next one with the conversations that have come up meanwhile, unless the
    round lacks something.
    """
    cursor = request.cursor
    left = [
        entry
        for conversation_id in cursor.positions
        if (entry := entries.get(conversation_id)) and not entry.participant.is_in
    ]
    most = MAX_SYNCED_CONVERSATIONS
    visits: list[Visit] = []
    messages, is_cut = 0, len(left) > most
    for entry, under_way in _queue(entries.values(), cursor):
        visit = _visit(entry, under_way, request)
        messages += visit.news
        if messages > MAX_SYNCED_MESSAGES or len(left) + len(visits) >= most:
            is_cut = True
            break
        visits.append(visit)
        if not visit.is_whole:
            is_cut = True
            break
    return Plan(visits, left[:most], is_cut)


def _queue(entries: Iterable[Entry], cursor: Cursor) -> Iterator[tuple[Entry, Round]]:
    """Yield the conversations that differ, each with the round that tells it.

    Order: the one that is told in pages, the others of the round under way, those of the next one.
    Where the other party has read alone begins no next round: perhaps the user is not shown it.
    """
    here = [entry for entry in entries if entry.participant.is_in]
    here.sort(key=lambda entry: entry.activity, reverse=True)
    under_way, positions = cursor.round, cursor.positions
    stays = [entry for entry in here if entry.conversation_id == under_way.stays]
    others = [entry for entry in here if entry.conversation_id != under_way.stays]
    below = under_way.below
    next_ones = [entry for entry in others if below is None or entry.activity < below]
    passed = [entry for entry in others if below is not None and entry.activity >= below]
    for entry in stays:
        if differs(positions.get(entry.conversation_id), entry):
            yield entry, under_way
    for entry in next_ones:
        if entry.has_pending or differs(positions.get(entry.conversation_id), entry):
            yield entry, Round(entry.activity)
    for entry in () if under_way.lacks else passed:
        if differs(positions.get(entry.conversation_id), replace(entry, peer=None)):
            yield entry, Round(entry.activity)


def _visit(entry: Entry, under_way: Round, request: SyncRequest) -> Visit:
    """Return the visit of a conversation; `under_way`: the round, after this visit but for pages.

    A conversation is told in pages up to the message that was its last at the first page.
    """
    told = request.cursor.positions.get(entry.conversation_id)
    is_reset = told is not None and is_ahead(told, entry)
    known = None if is_reset or told == NOWHERE else told
    last = entry.head.last_seq
    start = max(known.seq if known else 0, entry.participant.floor_seq)
    is_paged = under_way.stays == entry.conversation_id
    until = under_way.until if is_paged else last
    low, high = start, max(start, last)
    after = Round(under_way.below)
    if request.order is Order.NEWEST:
        low = max(start, high - request.limit)
    else:
        high = min(high, start + request.limit)
        if high < min(until, last):
            after = Round(under_way.below, entry.conversation_id, until)
    return Visit(
        entry=entry,
        known=known,
        is_reset=is_reset,
        start=start,
        low=low,
        high=high,
        until=until,
        is_paged=is_paged,
        after=after,
    )
