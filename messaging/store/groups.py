"""Implement GroupStore over Django's database: SQLite, MySQL or MariaDB.

Built by `runtime`. The transaction of a change comes from `changing`; no use case is known here.
"""

from __future__ import annotations

from uuid import uuid4

from messaging.conf import Settings
from messaging.database.threads import PROBE_TIMEOUT_S
from messaging.domain.groups import Group
from messaging.ports.groups import ChangedGroup, GroupOrder
from messaging.store.changing import change_group, create_group
from messaging.store.group_tables import GroupTables
from messaging.store.in_threads import InThreads, in_thread

THREADS = 4
CALL_S = 3.0  # a caller waits for no longer


class DatabaseGroups(InThreads[GroupTables]):
    """Implement `ports.groups.GroupStore`, with a bound on each call.

    Each call ends within `CALL_S`, a probe of the server included.
    Raises: StoreBusy and StoreUnavailable, at that bound at the latest.
    """

    def __init__(self, settings: Settings) -> None:
        timeout_s = min(settings.store_timeout_s, CALL_S - PROBE_TIMEOUT_S)
        super().__init__(GroupTables, name="groups", threads=THREADS, timeout_s=timeout_s)

    async def create_group(
        self, group: Group, order: GroupOrder, *, request_id: str | None
    ) -> ChangedGroup:
        # The threads do a job once more when a connection ends, perhaps after the commit: each
        # creation needs a name by which the second try finds the group of the first.
        name = request_id or f"unnamed {uuid4().hex}"
        return await self._threads.run(
            lambda connection: create_group(connection, group, order, name)
        )

    async def change_group(self, group_id: int, order: GroupOrder) -> ChangedGroup:
        return await self._threads.run(lambda connection: change_group(connection, group_id, order))

    find_group = in_thread(GroupTables.find_group)
    members = in_thread(GroupTables.members)
    join_requests = in_thread(GroupTables.join_requests)
