"""Make the conversations of users, and fill their lists as a reader of the database does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from messaging.domain.conversations import Entry, Head, Participant, Peer
from messaging.domain.groups import FOR_GOOD, OutReason
from messaging.ports.cache import MessageCache
from tests.support.messages import FIRST_ID

USER = 1
PRIVATE, GROUP, ALONE, LEFT = "1_2", "g7", "1_1", "g9"


def seat(conversation_id: str, *, user_id: int = USER, rev: int = 1, **columns: Any) -> Participant:
    return Participant(user_id=user_id, conversation_id=conversation_id, rev=rev, **columns)


def head(seq: int, rev: int = 0) -> Head:
    return Head(last_seq=seq, last_rev=rev, last_id=FIRST_ID + seq)


def private(*, seq: int = 3, peer: Peer | None = None, **columns: Any) -> Entry:
    participant = seat(PRIVATE, **columns)
    return Entry(participant=participant, head=head(seq), peer=peer or Peer())


def group(*, seq: int = 5, rev: int = 0) -> Entry:
    return Entry(participant=seat(GROUP), head=head(seq, rev))


FULL = Participant(
    user_id=USER,
    conversation_id=GROUP,
    rev=2**40,
    floor_id=FIRST_ID - 1,
    floor_seq=2,
    read_seq=4,
    delivered_seq=5,
    read_time=1_700_000_000_000,
    pin_time=1_700_000_000_001,
    muted_until=FOR_GOOD,
    hidden_id=FIRST_ID + 3,
    is_marked_unread=True,
)
EVERY_KIND = [
    private(read_seq=2, peer=Peer(read_seq=1, delivered_seq=3, read_time=1_700_000_000_002)),
    Entry(participant=FULL, head=head(2**40, 2**41)),
    Entry(participant=seat(ALONE), head=head(1)),
    Entry(
        participant=Participant(
            user_id=USER, conversation_id=LEFT, rev=3, is_in=False, out_reason=OutReason.REMOVED
        ),
        head=head(8, 2),
    ),
]


def by_name(entries: Sequence[Entry]) -> dict[str, Entry]:
    return {entry.conversation_id: entry for entry in entries}


async def begin(cache: MessageCache, user_id: int = USER) -> str:
    token = (await cache.listing(user_id)).token
    assert token is not None
    return token


async def fill(cache: MessageCache, entries: Sequence[Entry], user_id: int = USER) -> None:
    await cache.fill_listing(user_id, await begin(cache, user_id), entries)


async def entries_of(cache: MessageCache, user_id: int = USER) -> dict[str, Entry] | None:
    entries = (await cache.listing(user_id)).entries
    return None if entries is None else dict(entries)
