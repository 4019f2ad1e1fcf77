"""Make of a window what a client is told of a conversation, and the position that follows.

Pure. A client's position moves only over what the client was told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from messaging.domain.conversations import Entry, Peer
from messaging.domain.message import Message
from messaging.domain.sync_cursor import Position, Round
from messaging.domain.sync_requests import Order
from messaging.service.conversation_views import ConversationView
from messaging.service.history import size_bytes
from messaging.service.sync_round import differs
from messaging.service.windows import Window

Range = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Hold what a client is told of one conversation.

    `covers`: the client has been told all that it may see of these `seq`s. `gap`: these were left
    out. `position`: None where a client that begins anew is told nothing that counts. `after`: the
    round, where the answer ends with this conversation. `partial`: something was not known.
    `is_short`: not all messages had room.
    """

    view: ConversationView
    is_reset: bool
    messages: Sequence[Message]
    covers: Range | None
    gap: Range | None
    changes: Sequence[Message]
    deleted_ids: Sequence[int]
    pending: Sequence[Message]
    position: Position | None
    after: Round
    partial: bool
    is_short: bool
    size_bytes: int

    @property
    def shown_entry(self) -> Entry:
        """Return the entry with what the client is shown of the other party."""
        return replace(self.view.entry, peer=self.view.peer)

    @property
    def differs(self) -> bool:
        """Tell whether there is something that the client was not told."""
        return differs(self.position, self.shown_entry)

    @property
    def lacks(self) -> bool:
        """Tell whether the round passes this conversation without something of it."""
        return self.partial and self.after.stays is None and self.differs


def tell(window: Window, view: ConversationView, *, order: Order, room: int) -> Told:
    """Return what a client is told; of the messages so many, and one at least, as have room.

    `room`: bytes of an answer. Of the newest messages the oldest are left out, as a part of the
    gap. Of the oldest the newest are left out, for another page.
    """
    visit = window.visit
    low, high, after = visit.low, visit.high, visit.after
    messages = window.messages or ()
    last = view.last_message
    others = (*window.changes, *window.pending, *(() if last is None else (last,)))
    size = sum(map(size_bytes, others))
    count, taken = count_fitting(messages if order is Order.OLDEST else messages[::-1], room - size)
    if count < len(messages) and order is Order.OLDEST:
        high, after = _seq(messages[count]) - 1, visit.paged()
        messages = messages[:count]
    elif count < len(messages):
        low = _seq(messages[-count - 1])
        messages = messages[-count:]
    is_known, is_short = window.messages is not None, count < len(window.messages or ())
    if not is_known:
        after = visit.passed
    return Told(
        view=view,
        is_reset=visit.is_reset,
        messages=messages,
        covers=(low + 1, high) if is_known and high > low else None,
        gap=(visit.start + 1, low) if is_known and low > visit.start else None,
        changes=window.changes,
        deleted_ids=window.deletes.message_ids if window.deletes else (),
        pending=window.pending,
        position=_position(window, view.peer or Peer(), high),
        after=after,
        partial=window.partial,
        is_short=is_short,
        size_bytes=size + taken,
    )


def count_fitting(messages: Sequence[Message], room: int) -> tuple[int, int]:
    """Return how many of the messages have room, one at least, and the bytes of these."""
    taken = 0
    for count, message in enumerate(messages):
        size = size_bytes(message)
        if count and taken + size > room:
            return count, taken
        taken += size
    return len(messages), taken


def _position(window: Window, peer: Peer, high: int) -> Position | None:
    """Return the position after the window; `peer`: what the client is shown of the other party."""
    known = window.visit.known
    if known is None and window.messages is None:
        return None
    base = known or Position()
    return Position(
        seq=base.seq if window.messages is None else high,
        rev=base.rev if window.rev is None else window.rev,
        own_rev=base.own_rev if window.deletes is None else window.deletes.up_to,
        peer_read=max(base.peer_read, peer.read_seq),
        peer_delivered=max(base.peer_delivered, peer.delivered_seq),
    )


def _seq(message: Message) -> int:
    assert message.seq is not None
    return message.seq
