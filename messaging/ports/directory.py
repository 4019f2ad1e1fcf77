"""Promise the users, the members of groups and the blocks to the use cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from messaging.domain.groups import Group, Membership


@dataclass(frozen=True, slots=True)
class TokenMark:
    """Name the state of a user's tokens in which one token was made.

    All tokens of one login belong to one session. A token without a session is one by itself.
    """

    generation: int
    session: str


@dataclass(frozen=True, slots=True)
class GroupAccess:
    """Hold what is known of a group and of one user in it.

    `member`: None for a user who is not in the group.
    `asked_after`: the guard's score that was seen before the database was asked.
    """

    group: Group
    member: Membership | None
    asked_after: int = 0


class Directory(Protocol):
    """Tell who exists, who belongs where and who has blocked whom, from a local cache at best.

    Each question has two methods. The one whose name begins with `known` answers at once out of the
    cache, and returns None where the cache has no answer. The other may wait for the database.

    The database is either away (an outage), or busy: it answers and has no time for this question.
    In an outage the last known answer serves, and in place of an unknown one the value that each
    method states. While the database is busy, nothing passes unasked: a question without an answer
    raises StoreUnavailable, unless the last known answer is a refusal. A user who was locked out or
    blocked, or is told to be so by a change, stays so until the database says otherwise.
    """

    def known_active(self, user_id: int, mark: TokenMark | None = None) -> bool | None: ...

    def known_access(self, group_id: int, user_id: int) -> GroupAccess | None:
        """Return what is known; None also where there is no such group."""

    def known_blocked(self, blocker_id: int, blocked_id: int) -> bool | None:
        """Tell whether the block is set, if known; None also where there is no such blocker."""

    def known_receipts_from(self, user_id: int) -> int | None:
        """Return what `receipts_from` returns, if known."""

    async def user_exists(self, user_id: int) -> bool:
        """Tell whether this user exists.

        In an outage an unknown answer is True, because a send must not need MySQL.
        """

    async def user_is_active(self, user_id: int, mark: TokenMark | None = None) -> bool:
        """Tell whether this user may act, with a `mark` by a token that bears the mark.

        Such a token must not have ended. The answer is at most `identity_ttl_s` old. In an outage
        the answer is the last known one, or True.
        """

    async def group_access(self, group_id: int, user_id: int) -> GroupAccess | None:
        """Return what the user may do in the group; None where there is no such group.

        Raises: StoreUnavailable when nothing is known: fail closed.
        """

    async def ask_access(self, group_id: int, user_id: int, *, after: int) -> GroupAccess | None:
        """Ask the database what the user may do in the group; None where there is no such group.

        A kept answer serves only where it was asked for after this score (above 0) of the guard.
        Calls at the same time share a look-up, unless it began before a later call's score.

        Raises: StoreUnavailable, also in an outage: the last known answer does not serve.
        """

    async def is_blocked(self, blocker_id: int, blocked_id: int) -> bool:
        """Tell whether the blocker takes no private messages from the other; False for oneself.

        The answer is at most `identity_ttl_s` old. In an outage the answer is the last known one,
        or False.
        """

    async def receipts_from(self, user_id: int) -> int:
        """Return the time (ms) from which this user shows others how far the user has read.

        NEVER for a user who hides it, and for nobody.
        Raises: StoreUnavailable, also in an outage, where nothing is known: fail closed.
        """

    def forget_groups(self) -> None:
        """Drop every answer about a group, because doubts may have been lost.

        In an outage of the database nothing is known of a group then, until it is back.
        """

    async def close(self) -> None: ...
