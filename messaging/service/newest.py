"""Read the newest messages of a listed conversation, by the same walk as a history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.conversations import Entry
from messaging.domain.errors import RightsDoubted, TemporarilyUnavailable
from messaging.domain.ids import group_of
from messaging.domain.message import Message
from messaging.ports.cached import CachedTail
from messaging.ports.directory import GroupAccess
from messaging.service.access import read_as_member
from messaging.service.backends import Backends
from messaging.service.hidden_messages import load_deletes, with_deletes
from messaging.service.history import Walk
from messaging.service.history_pages import AWAY, PageReader
from messaging.service.visibility import Reader


@dataclass(frozen=True, slots=True)
class Newest:
    """Hold the newest messages that a reader may see, newest first.

    `access`: the reader's access to a group, by which the messages were read.
    `partial`: as in `HistoryPage`.
    """

    messages: Sequence[Message]
    access: GroupAccess | None = None
    partial: bool = False


async def read_tails(
    backends: Backends, counts: Mapping[str, int], *, reader_id: int
) -> dict[str, CachedTail]:
    """Return the cached tails of conversations, each for `read_newest` of so many messages.

    The reader's deletes are looked up once for all of them, where the cache does not know them.
    """
    limits = {name: count + 1 for name, count in counts.items()}  # one more tells that there are
    try:
        tails = await backends.cache.newest_tails(limits, reader_id=reader_id)
    except CacheUnavailable:
        return dict.fromkeys(counts, AWAY)
    if all(tail.deletes_floor is not None for tail in tails.values()):
        return tails
    try:
        known = await load_deletes(backends, reader_id)
    except TemporarilyUnavailable:
        return tails
    return {name: with_deletes(tail, known, name) for name, tail in tails.items()}


async def read_newest(
    backends: Backends, entry: Entry, *, reader_id: int, count: int, tail: CachedTail
) -> Newest:
    """Return the newest messages of a conversation in the reader's list.

    `tail`: of `read_tails`, read before the reader's rights are asked for here.

    The answer is empty and partial where the reader belongs to the conversation, and no message can
    be read now.

    Raises: GroupNotFound, NotAMember for a reader who is out of the group; TemporarilyUnavailable
    where nobody can tell.
    """

    conversation_id = entry.conversation_id

    async def read(reader: Reader) -> Newest:
        above = reader.told_of(entry.participant)
        pages = PageReader(backends, conversation_id, above, ready=tail)
        walk = Walk(backends, pages, before=None)
        try:
            messages = await walk.take(count)
        except RightsDoubted:
            raise
        except TemporarilyUnavailable:
            return Newest((), reader.access, partial=True)
        await pages.confirm()
        return Newest(messages, reader.access, walk.partial)

    group_id = group_of(conversation_id)
    if group_id is None:
        return await read(Reader(reader_id))
    return await read_as_member(
        backends, read, group_id=group_id, user_id=reader_id, is_listed=True
    )
