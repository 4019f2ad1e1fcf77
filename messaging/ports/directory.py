"""Who exists, who belongs where, and who has blocked whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TokenMark:
    """The state of a user's tokens that one token was made in: its generation, and its session.

    All tokens of one login belong to one session. A token without a session is one by itself.
    """

    generation: int
    session: str


class Directory(Protocol):
    """Who exists, who belongs where and who has blocked whom, out of a local cache at best.

    Each question comes in two: what begins with `known` answers at once out of the cache and has
    None where it cannot tell; the other may wait for the database.

    The database is away (an outage), or it answers and has no time for this question. In an outage
    the last known answer serves, and in place of an unknown one what each question says. While it
    answers, nothing passes unasked: a question without an answer raises StoreUnavailable, unless
    the last known answer is a refusal. Whoever was locked out or blocked, or is told to be by a
    change, stays so until the database says otherwise.
    """

    def known_active(self, user_id: int, mark: TokenMark | None = None) -> bool | None: ...

    def known_member(self, group_id: int, user_id: int) -> bool | None:
        """Also None where it is known that there is no such group."""

    def known_blocked(self, blocker_id: int, blocked_id: int) -> bool | None:
        """Also None where it is known that there is no such blocker."""

    async def user_exists(self, user_id: int) -> bool:
        """In an outage, when nothing is known: True, for a send must not need MySQL."""

    async def user_is_active(self, user_id: int, mark: TokenMark | None = None) -> bool:
        """Whether this user may act; with a mark, by a token that bears it and was not ended.

        At most `identity_ttl_s` old; in an outage the last known answer, or True.
        """

    async def is_member(self, group_id: int, user_id: int) -> bool | None:
        """None: no such group. Raises StoreUnavailable when nothing is known: fail closed."""

    async def is_blocked(self, blocker_id: int, blocked_id: int) -> bool:
        """Whether one user takes no private messages from another; False for oneself.

        At most `identity_ttl_s` old; in an outage the last known answer, or False.
        """

    async def close(self) -> None: ...
