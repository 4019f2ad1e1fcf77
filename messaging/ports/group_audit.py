"""Promise what an audit may read and mend of groups and participants.

A *seat* is a user's id and a conversation's id. All walks go by key and in pieces, because the
service writes at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

Seat = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Headcount:
    """Hold a group's own number of members, and the rows of its members, at one moment."""

    is_dissolved: bool
    member_count: int
    members: int
    owners: int


@dataclass(frozen=True, slots=True)
class StoredSeat:
    """Hold a participant's row, and the `last_seq` of the conversation (0 where it has no row)."""

    is_in: bool
    floor_id: int
    floor_seq: int
    last_seq: int


class GroupInspector(Protocol):
    """Read and mend the tables of groups and participants.

    Raises: StoreUnavailable.
    """

    async def groups_after(self, group_id: int, *, limit: int) -> list[tuple[int, int]]:
        """Return the next groups in order of id, each with its own number of members."""

    async def headcounts(self, group_ids: Sequence[int]) -> dict[int, Headcount]:
        """Return the headcounts of these groups, by id.

        Large groups take a while: ask for few of those at once.
        """

    async def members_after(self, group_id: int, user_id: int, *, limit: int) -> list[Seat]:
        """Return the seats of members in order of group and user, behind this member."""

    async def members_among(self, seats: Iterable[Seat]) -> set[Seat]:
        """Return the seats in groups whose user is a member of the group."""

    async def participants_after(self, seat: Seat, *, limit: int) -> list[tuple[Seat, StoredSeat]]:
        """Return the participants behind this seat, in order of user and conversation."""

    async def participants(self, seats: Iterable[Seat]) -> dict[Seat, StoredSeat]:
        """Return the participants of these seats, where there are any."""

    async def recount(self, group_id: int) -> None:
        """Set a group's number of members to that of its rows, under the group's lock."""

    async def let_in(self, seat: Seat) -> None:
        """Let a user be a participant who has read all, if the user belongs to the conversation.

        Floors stay as they are.

        Safe to repeat.
        """

    async def let_out(self, seat: Seat) -> None:
        """Let a participant of a group be out as one removed, unless the user is a member.

        Safe to repeat.
        """

    async def close(self) -> None: ...
