"""Keep the directory in memory, under the same contract as the database."""

from __future__ import annotations

from collections.abc import Iterable

from messaging.domain.backend_errors import StoreUnavailable
from messaging.ports.directory import TokenMark


class MemoryDirectory:
    """Implement `ports.Directory`: users in `users` are known, those in `inactive` locked out.

    `blocks`: pairs of a blocker and a blocked user.
    `ended`: pairs of a user and a session.
    The directory keeps no answers, so nothing is known at once.
    """

    def __init__(
        self, users: Iterable[int] = (), groups: dict[int, set[int]] | None = None
    ) -> None:
        self.down = False
        self.users = set(users)
        self.inactive: set[int] = set()
        self.groups = groups if groups is not None else {}
        self.blocks: set[tuple[int, int]] = set()
        self.generations: dict[int, int] = {}
        self.ended: set[tuple[int, str]] = set()

    def known_active(self, user_id: int, mark: TokenMark | None = None) -> bool | None:
        return None

    def known_member(self, group_id: int, user_id: int) -> bool | None:
        return None

    def known_blocked(self, blocker_id: int, blocked_id: int) -> bool | None:
        return None

    async def user_exists(self, user_id: int) -> bool:
        return self.down or user_id in self.users

    async def user_is_active(self, user_id: int, mark: TokenMark | None = None) -> bool:
        is_active = user_id in self.users and user_id not in self.inactive
        return self.down or (is_active and not self._has_ended(user_id, mark))

    async def is_member(self, group_id: int, user_id: int) -> bool | None:
        if self.down:
            raise StoreUnavailable
        members = self.groups.get(group_id)
        return None if members is None else user_id in members

    async def is_blocked(self, blocker_id: int, blocked_id: int) -> bool:
        return not self.down and (blocker_id, blocked_id) in self.blocks

    async def close(self) -> None:
        pass

    def _has_ended(self, user_id: int, mark: TokenMark | None) -> bool:
        return mark is not None and (
            mark.generation < self.generations.get(user_id, 0)
            or (user_id, mark.session) in self.ended
        )
