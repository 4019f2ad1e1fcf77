"""Decide what one reader may see of a conversation: the one rule, which every view applies.

A message is seen by a user who belongs to its conversation now, above the reader's floor, unless
the reader has deleted the message.
"""

from __future__ import annotations

from collections.abc import Container

import msgspec
from msgspec.structs import replace

from messaging.domain.conversations import NO_FLOOR, Floor, Participant
from messaging.domain.errors import RightsDoubted
from messaging.ports.directory import GroupAccess


class Reader(msgspec.Struct, frozen=True, gc=False):
    """Hold a user who belongs to a conversation, as far as this process knows.

    `access`: the reader's access to a group; None in a private conversation.
    `is_fresh`: the database was asked for the access while this request was served.
    `cleared`: the floor that the cache or the database has given while this request was served;
    None before. The access may be older than a clear.
    `told`: the floor that the reader's list has. The list may know of a clear that the cache was
    not told of beside the deletes.
    """

    user_id: int
    access: GroupAccess | None = None
    is_fresh: bool = False
    cleared: Floor | None = None
    told: Floor = NO_FLOOR

    @property
    def floor(self) -> Floor:
        """Return the floor down to which the conversation does not exist for the reader."""
        member = self.access.member if self.access else None
        floor = NO_FLOOR if member is None else Floor(member.floor_id, member.floor_seq)
        return floor.joined(self.cleared or NO_FLOOR).joined(self.told)

    @property
    def floor_id(self) -> int:
        return self.floor.id

    def above(self, cleared: Floor | None) -> Reader:
        """Return the reader above this floor, too; None: nothing was given."""
        if cleared is None:
            return self
        return replace(self, cleared=cleared.joined(self.cleared or NO_FLOOR))

    def told_of(self, participant: Participant) -> Reader:
        """Return the reader above the floor that the list has: others may not be known yet."""
        return replace(self, told=participant.floor)

    def may_see(self, message_id: int, deleted: Container[int] = ()) -> bool:
        return message_id > self.floor_id and message_id not in deleted

    def heed(self, guard: int | None) -> None:
        """Check that nothing was read by an access that is in doubt.

        `guard`: the score that the cache gave with the messages; None: the database gave them.

        Raises: RightsDoubted when the access has to be asked for afresh.
        """
        if self.access is None or (guard is None and self.is_fresh):
            return
        if guard is None or guard > self.access.asked_after:
            raise RightsDoubted(guard or 0)
