"""Check a member's access once more, after rows were read from the database by it.

The guard of a group comes with the cached messages, in the trip that reads them. A right may shrink
between that trip and the reading of the rows. So the guard is asked again once the rows are read:
what an answer gives was read before any later removal was answered.
"""

from __future__ import annotations

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.errors import RightsDoubted
from messaging.service.access import recheck_member
from messaging.service.backends import Backends
from messaging.service.visibility import Reader


async def confirm_access(backends: Backends, conversation_id: str, reader: Reader) -> None:
    """Check that the reader's access to a group still holds; a private conversation needs no check.

    The database is asked where the guard has a newer score, and where the guard is not known.

    Raises: GroupNotFound; NotAMember; RightsDoubted where the reader may see less by now;
    TemporarilyUnavailable where nobody can tell.
    """
    if reader.access is None:
        return
    guard = await _known_guard(backends, conversation_id, reader.user_id)
    if guard is not None and guard <= reader.access.asked_after:
        return
    access = await recheck_member(
        backends, group_id=reader.access.group.id, user_id=reader.user_id, after=guard or 0
    )
    if Reader(reader.user_id, access).floor_id > reader.floor_id:
        raise RightsDoubted(guard or 0)


async def _known_guard(backends: Backends, conversation_id: str, reader_id: int) -> int | None:
    """Return the guard's score for a reader; None where the cache is away."""
    try:
        now = await backends.cache.listed(
            conversation_id, reader_id=reader_id, before=None, limit=1
        )
    except CacheUnavailable:
        return None
    return now.guard
