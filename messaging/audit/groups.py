"""Check groups, their members, and the participants of all conversations.

Groups, members and participants are checked whole, because their tables have no time to begin at.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from messaging.audit.check import AT_ONCE, AuditBackends, Check, Step, runs
from messaging.audit.findings import Defect, Suspect
from messaging.domain.ids import first_id_at, group_of, parties_of
from messaging.ports.audit import Pieces
from messaging.ports.group_audit import Headcount, Seat, StoredSeat

CLOCKS_MS = 1_000  # a floor may be so far ahead of the clock here


class Groups(Check[int]):
    """Check that each group has one owner, unless it is dissolved, and its number of members.

    The number is mended. An owner is not, because a person has to choose one.
    """

    title = "groups"

    async def subjects(self) -> Pieces[int]:
        after = 0
        while found := await self._backends.groups.groups_after(after, limit=AT_ONCE):
            after = found[-1][0]
            for group_ids in runs(found):
                yield 0.0, group_ids

    async def judge(self, subjects: Sequence[int]) -> list[Suspect[int]]:
        counted = await self._backends.groups.headcounts(subjects)
        return [
            Suspect(kind, f"group {group_id}", group_id)
            for group_id, headcount in counted.items()
            for kind in _unsound(headcount)
        ]

    async def mend(self, suspects: Sequence[Suspect[int]]) -> None:
        for suspect in suspects:
            if suspect.kind is Defect.MEMBER_COUNT:
                await self._backends.groups.recount(suspect.subject)


def _unsound(headcount: Headcount) -> list[Defect]:
    wrong = []
    if headcount.owners != 1 and not headcount.is_dissolved:
        wrong.append(Defect.OWNER)
    if headcount.member_count != headcount.members:
        wrong.append(Defect.MEMBER_COUNT)
    return wrong


class _Belonging(Check[Seat]):
    """Check that those who belong to conversations are participants who are in.

    A missing participant is mended: the user has read all, and has no floor.
    """

    async def _belonging(self, seats: Sequence[Seat]) -> Sequence[Seat]:
        """Return the seats among these whose users belong to the conversation now."""
        return seats

    async def judge(self, subjects: Sequence[Seat]) -> list[Suspect[Seat]]:
        belonging = await self._belonging(subjects)
        rows = await self._backends.groups.participants(belonging)
        return [
            Suspect(Defect.PARTICIPANT_MISSING, _name(seat), seat)
            for seat in belonging
            if seat not in rows or not rows[seat].is_in
        ]

    async def mend(self, suspects: Sequence[Suspect[Seat]]) -> None:
        for suspect in suspects:
            await self._backends.groups.let_in(suspect.subject)


class Members(_Belonging):
    title = "members of groups"

    async def subjects(self) -> Pieces[Seat]:
        group_id = user_id = 0
        groups = self._backends.groups
        while found := await groups.members_after(group_id, user_id, limit=AT_ONCE):
            user_id, name = found[-1]
            group_id = group_of(name) or 0
            yield 0.0, found

    async def _belonging(self, seats: Sequence[Seat]) -> Sequence[Seat]:
        return sorted(await self._backends.groups.members_among(seats))


class Parties(_Belonging):
    """Check the parties of private conversations that have a message from `since_id` on."""

    title = "parties of private conversations"

    def __init__(self, backends: AuditBackends, *, since_id: int) -> None:
        super().__init__(backends)
        self._since_id = since_id

    async def subjects(self) -> Pieces[Seat]:
        after = ""
        while found := await self._backends.stored.conversations_after(after, limit=AT_ONCE // 2):
            after = found[-1][0]
            yield (
                0.0,
                [
                    (user_id, name)
                    for name, _, last_id in found
                    if last_id >= self._since_id and group_of(name) is None
                    for user_id in sorted(parties_of(name))
                ],
            )


class Participants(Check[Seat]):
    """Check the floors of participants, and that who is in a group is a member of it.

    A participant who is no member is mended, since members alone may read. A floor is not, because
    to lower it could show what it hides.
    """

    title = "participants"

    def __init__(self, backends: AuditBackends, *, clock_ms: Callable[[], int]) -> None:
        super().__init__(backends)
        self._clock_ms = clock_ms

    async def walk(self) -> AsyncIterator[Step[Seat]]:
        """Judge the rows as they are read, without a second query for them."""
        after: Seat = (0, "")
        while found := await self._backends.groups.participants_after(after, limit=AT_ONCE):
            after = found[-1][0]
            yield Step(0.0, len(found), await self._suspects(dict(found)))

    async def judge(self, subjects: Sequence[Seat]) -> list[Suspect[Seat]]:
        return await self._suspects(await self._backends.groups.participants(subjects))

    async def _suspects(self, rows: dict[Seat, StoredSeat]) -> list[Suspect[Seat]]:
        highest = first_id_at(self._clock_ms() + CLOCKS_MS)
        suspects = [
            Suspect(Defect.FLOOR, _name(seat), seat)
            for seat, row in rows.items()
            if row.floor_seq > row.last_seq or row.floor_id > highest
        ]
        claimed = [p for p, row in rows.items() if row.is_in and group_of(p[1]) is not None]
        members = await self._backends.groups.members_among(claimed)
        strangers = [seat for seat in claimed if seat not in members]
        return suspects + [Suspect(Defect.PARTICIPANT_LEFT, _name(p), p) for p in strangers]

    async def mend(self, suspects: Sequence[Suspect[Seat]]) -> None:
        for suspect in suspects:
            if suspect.kind is Defect.PARTICIPANT_LEFT:
                await self._backends.groups.let_out(suspect.subject)


def _name(seat: Seat) -> str:
    user_id, conversation_id = seat
    return f"user {user_id} in {conversation_id}"
