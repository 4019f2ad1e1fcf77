"""Read the newest messages of a listed conversation, by the same walk as a history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from messaging.domain.conversations import Entry
from messaging.domain.errors import RightsDoubted, TemporarilyUnavailable
from messaging.domain.ids import group_of
from messaging.domain.message import Message
from messaging.ports.directory import GroupAccess
from messaging.service.access import read_as_member
from messaging.service.backends import Backends
from messaging.service.history import Walk
from messaging.service.history_pages import PageReader
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


async def read_newest(backends: Backends, entry: Entry, *, reader_id: int, count: int) -> Newest:
    """Return the newest messages of a conversation in the reader's list.

    The answer is empty and partial where the reader belongs to the conversation, and no message can
    be read now.

    Raises: GroupNotFound, NotAMember for a reader who is out of the group; TemporarilyUnavailable
    where nobody can tell.
    """

    conversation_id = entry.conversation_id

    async def read(reader: Reader) -> Newest:
        above = reader.told_of(entry.participant)
        walk = Walk(backends, PageReader(backends, conversation_id, above), before=None)
        try:
            messages = await walk.take(count)
        except RightsDoubted:
            raise
        except TemporarilyUnavailable:
            return Newest((), reader.access, partial=True)
        return Newest(messages, reader.access, walk.partial)

    group_id = group_of(conversation_id)
    if group_id is None:
        return await read(Reader(reader_id))
    return await read_as_member(
        backends, read, group_id=group_id, user_id=reader_id, is_listed=True
    )
