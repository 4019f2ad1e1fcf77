"""Read the newest messages of a listed conversation, by the same walk as a history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


async def read_newest(
    backends: Backends, conversation_id: str, *, reader_id: int, count: int
) -> Newest:
    """Return the newest messages of a conversation in the reader's list.

    Raises: GroupNotFound, NotAMember for a reader who is out of the group; TemporarilyUnavailable.
    """

    async def read(reader: Reader) -> Newest:
        walk = Walk(backends, PageReader(backends, conversation_id, reader), before=None)
        messages = await walk.take(count)
        return Newest(messages, reader.access, walk.partial)

    group_id = group_of(conversation_id)
    if group_id is None:
        return await read(Reader(reader_id))
    return await read_as_member(
        backends, read, group_id=group_id, user_id=reader_id, is_listed=True
    )
