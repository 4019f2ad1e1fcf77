"""List a user's conversations, each as the user sees it.

Raises: TemporarilyUnavailable when the list is not cached and the database is away;
TooManyRequests, at once, for a user who reads too much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from messaging.domain.batched import ask_batched
from messaging.domain.conversation_requests import ListRequest, PartnerRequest
from messaging.domain.conversations import Entry, Place
from messaging.domain.errors import (
    ConversationNotFound,
    GroupNotFound,
    NotAMember,
    TemporarilyUnavailable,
)
from messaging.domain.ids import conversation_id, group_of
from messaging.limits import MAX_PAGE_BYTES, MAX_UNREAD, READ_BYTES
from messaging.service.access import check_member
from messaging.service.backends import Backends
from messaging.service.conversation_views import ConversationView, view_conversations
from messaging.service.history import size_bytes
from messaging.service.listing import find_listed, read_listing
from messaging.service.unread import count_unread, known_counts

CONVERSATIONS_A_READ = 10  # so many conversations of one call count as one read
MEMBERSHIPS_AT_ONCE = 20  # groups whose memberships are asked about at the same time


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationPage:
    """Hold a page of the list; `next_after`: the place behind which the next page begins."""

    views: Sequence[ConversationView]
    next_after: Place | None
    partial: bool


@dataclass(frozen=True, slots=True)
class UnreadSum:
    """Hold how many messages are unread, and in how many conversations.

    Of each conversation MAX_UNREAD messages count at most. A conversation that the user has marked
    as unread counts as one without messages.
    """

    messages: int = 0
    conversations: int = 0


@dataclass(frozen=True, slots=True)
class UnreadSums:
    """Hold the sums of the conversations that are not muted, and of those that are.

    `partial`: a number is not known, or a conversation may be missing.
    """

    loud: UnreadSum
    muted: UnreadSum
    partial: bool


async def list_conversations(
    backends: Backends, wanted: ListRequest, *, reader_id: int
) -> ConversationPage:
    """Return a page of the list: pinned ones first, the newest pin first, then by activity.

    Conversations that the user is out of are left out, and hidden ones unless they are wanted. The
    page ends early where its messages reach MAX_PAGE_BYTES.
    """
    backends.rates.reads.spend(reader_id)
    async with backends.rates.pages.turn(reader_id):
        listing = await read_listing(backends, reader_id)
        behind = [
            entry
            for entry in listing.entries.values()
            if entry.participant.is_in
            and (wanted.includes_hidden or not entry.is_hidden)
            and (wanted.after is None or entry.place < wanted.after)
        ]
        behind.sort(key=lambda entry: entry.place, reverse=True)
        entries = behind[: wanted.size]
        views, partial = await view_conversations(backends, entries, reader_id=reader_id)
    shown, bytes_read = _bounded(views)
    more = max(len(entries) - 1, 0) // CONVERSATIONS_A_READ + bytes_read // READ_BYTES
    backends.rates.reads.charge(reader_id, more)
    if len(shown) < len(views):
        last: Place | None = shown[-1].entry.place
    else:
        last = entries[-1].place if len(behind) > wanted.size else None
    return ConversationPage(views=shown, next_after=last, partial=listing.partial or partial)


async def view_conversation(
    backends: Backends, wanted: PartnerRequest, *, reader_id: int
) -> tuple[ConversationView, bool]:
    """Return the user's conversation with another user, or of a group, and whether it is partial.

    Raises: ConversationNotFound; TemporarilyUnavailable also for a group whose membership nobody
    can tell now.
    """
    backends.rates.reads.spend(reader_id)
    name = conversation_id(
        chat_type=wanted.chat_type, user_id=reader_id, target_id=wanted.target_id
    )
    listing = await find_listed(backends, reader_id, name)
    views, partial = await view_conversations(
        backends, [listing.entries[name]], reader_id=reader_id
    )
    if not views:
        raise TemporarilyUnavailable if partial else ConversationNotFound
    return views[0], listing.partial or partial


async def sum_unread(backends: Backends, *, reader_id: int) -> UnreadSums:
    """Return the sums of unread messages; hidden conversations without news do not count.

    CONVERSATIONS_A_READ that had to be counted in the database count as one more read.
    """
    backends.rates.reads.spend(reader_id)
    async with backends.rates.pages.turn(reader_id):
        return await _sum_unread(backends, reader_id)


async def _sum_unread(backends: Backends, reader_id: int) -> UnreadSums:
    listing = await read_listing(backends, reader_id)
    entries = [
        entry
        for entry in listing.entries.values()
        if entry.participant.is_in and not entry.is_hidden
    ]
    known = await known_counts(backends, entries, reader_id=reader_id)
    asked = sum(count is None for count in known.values())
    backends.rates.reads.charge(reader_id, asked // CONVERSATIONS_A_READ)
    counts = await count_unread(backends, entries, reader_id=reader_id, known=known)
    news = [
        entry
        for entry in entries
        if counts[entry.conversation_id] != 0 or entry.participant.is_marked_unread
    ]
    belongs = await ask_batched(
        news, MEMBERSHIPS_AT_ONCE, lambda entry: _belongs(backends, entry, reader_id)
    )
    told = [entry for entry, is_in in zip(news, belongs, strict=True) if is_in]
    now_ms = backends.clock_ms()
    muted = [entry for entry in told if entry.participant.is_muted(now_ms)]
    loud = [entry for entry in told if not entry.participant.is_muted(now_ms)]
    is_partial = listing.partial or None in counts.values() or None in belongs
    return UnreadSums(_sum(loud, counts), _sum(muted, counts), is_partial)


async def _belongs(backends: Backends, entry: Entry, reader_id: int) -> bool | None:
    """Tell whether the user belongs to a conversation; None where nobody can tell now.

    The cached list may be of another process that was not told of a removal.
    """
    group_id = group_of(entry.conversation_id)
    if group_id is None:
        return True
    try:
        await check_member(backends, group_id=group_id, user_id=reader_id, is_listed=True)
    except (GroupNotFound, NotAMember):
        return False
    except TemporarilyUnavailable:
        return None
    return True


def _bounded(views: Sequence[ConversationView]) -> tuple[Sequence[ConversationView], int]:
    """Return the first views whose messages fit an answer, one at least, and their size."""
    taken_bytes = 0
    for count, view in enumerate(views):
        message = view.last_message
        more_bytes = 0 if message is None else size_bytes(message)
        if count and taken_bytes + more_bytes > MAX_PAGE_BYTES:
            return views[:count], taken_bytes
        taken_bytes += more_bytes
    return views, taken_bytes


def _sum(entries: Sequence[Entry], counts: dict[str, int | None]) -> UnreadSum:
    capped = {
        entry.conversation_id: min(counts[entry.conversation_id] or 0, MAX_UNREAD)
        for entry in entries
    }
    unread = sum(
        bool(capped[entry.conversation_id]) or entry.participant.is_marked_unread
        for entry in entries
    )
    return UnreadSum(sum(capped.values()), unread)
