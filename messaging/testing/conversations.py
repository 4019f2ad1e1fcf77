"""Keep conversations in memory, under the same contract as the database.

Nothing survives the process, so no running site may use these conversations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from messaging.domain.conversations import NEVER, Entry, Mark, Participant, Peer, marked, peer_of
from messaging.domain.errors import ConversationNotFound
from messaging.domain.message import ID_MAX, ChatType, Message, MsgType
from messaging.ports.conversations import (
    ChangeParticipant,
    DeletedSince,
    ParticipantFacts,
    Readers,
    Since,
    Span,
)
from messaging.ports.store import CacheHint
from messaging.testing.store import MemoryStore


@dataclass(eq=False, slots=True)
class MemoryConversations:
    """Implement `ports.conversations.ConversationStore` over the tables of a store in memory.

    The faults are those of the store.
    """

    store: MemoryStore

    async def listing(
        self, user_id: int, conversation_ids: Sequence[str] | None = None
    ) -> list[Entry]:
        await self.store.ping()
        return [
            Entry(
                participant=participant,
                head=self.store.head(name),
                peer=self._peer(name, user_id),
            )
            for (user, name), participant in self.store.participants.items()
            if user == user_id and (conversation_ids is None or name in conversation_ids)
        ]

    async def mark(
        self, marks: Sequence[Mark], *, now_ms: int
    ) -> dict[tuple[int, str], Participant]:
        await self.store.ping()
        found: dict[tuple[int, str], Participant] = {}
        for mark in marks:
            seat = (mark.user_id, mark.conversation_id)
            participant = self.store.participants.get(seat)
            if participant is not None and participant.is_in:
                last_seq = self.store.head(mark.conversation_id).last_seq
                found[seat] = marked(participant, mark, last_seq=last_seq, now_ms=now_ms)
        self.store.participants |= found
        return found

    async def change_participant(
        self, user_id: int, conversation_id: str, decide: ChangeParticipant
    ) -> Participant:
        await self.store.ping()
        participants, seat = self.store.participants, (user_id, conversation_id)
        if (before := participants.get(seat)) is None:
            raise ConversationNotFound
        facts = ParticipantFacts(
            participant=before,
            head=self.store.head(conversation_id),
            pins=sum(
                i == user_id and p.is_in and p.pin_time is not None
                for (i, _), p in participants.items()
            ),
        )
        after = replace(decide(facts), rev=before.rev)
        if after != before:
            participants[seat] = replace(after, rev=before.rev + 1)
        return participants[seat]

    async def change_hinted(
        self, user_id: int, conversation_id: str, decide: ChangeParticipant
    ) -> tuple[Participant, CacheHint]:
        participant = await self.change_participant(user_id, conversation_id, decide)
        return participant, self.store.record([CacheHint(0, user_id)])[0]

    async def spans(self, wanted: Sequence[Span]) -> dict[str, list[Message]]:
        await self.store.ping()
        found: dict[str, list[Message]] = {}
        for span in wanted:
            above, up_to = span.bounds
            rows = self._rows(span.conversation_id)
            found[span.conversation_id] = [m for m in rows if above < (m.seq or 0) <= up_to]
        return found

    async def changes(self, wanted: Sequence[Since], *, limit: int) -> dict[str, list[Message]]:
        await self.store.ping()
        return {
            since.conversation_id: sorted(
                (
                    row
                    for row in self._rows(since.conversation_id)
                    if since.above < self.store.changes.get(row.id, 0) <= since.up_to
                ),
                key=lambda row: row.rev,
            )[:limit]
            for since in wanted
        }

    async def deletes_since(
        self, user_id: int, wanted: Sequence[Since], *, limit: int
    ) -> dict[str, DeletedSince]:
        await self.store.ping()
        found = {}
        for since in wanted:
            deletes = sorted(
                (delete.rev, message_id)
                for (user, message_id), delete in self.store.deletes.items()
                if user == user_id
                and delete.conversation_id == since.conversation_id
                and since.above < delete.rev <= since.up_to
            )
            up_to = deletes[limit - 1][0] if len(deletes) >= limit else since.up_to
            ids = tuple(message_id for rev, message_id in deletes if rev <= up_to)
            found[since.conversation_id] = DeletedSince(ids, up_to)
        return found

    async def count_unread(
        self, participants: Sequence[Participant], *, up_to: Mapping[str, int], most: int
    ) -> dict[str, int]:
        await self.store.ping()
        return {
            each.conversation_id: min(
                most,
                sum(
                    self._is_unread(row, each)
                    for row in self._rows(each.conversation_id)
                    if (row.seq or 0) <= up_to[each.conversation_id]
                ),
            )
            for each in participants
        }

    async def readers(self, message: Message, *, has_read: bool, after: int, limit: int) -> Readers:
        await self.store.ping()
        seq = ID_MAX if message.seq is None else message.seq
        is_private = message.chat_type is ChatType.PRIVATE
        readers = {
            user_id: participant.read_seq >= seq
            and participant.position.is_shown(self.store.shown_from.get(user_id, 0))
            for (user_id, name), participant in sorted(self.store.participants.items())
            if name == message.conversation_id
            and participant.is_in
            and (is_private or participant.floor_id < message.id)
            and user_id != message.from_user_id
            and self.store.shown_from.get(user_id) != NEVER
        }
        ids = [i for i, is_reader in readers.items() if is_reader is has_read and i > after]
        return Readers(
            read_count=sum(readers.values()),
            member_count=len(readers),
            user_ids=tuple(ids[: limit + 1]),
        )

    async def close(self) -> None:
        pass

    def _peer(self, name: str, user_id: int) -> Peer | None:
        if (peer_id := peer_of(name, user_id)) is None:
            return None
        if (participant := self.store.participants.get((peer_id, name))) is None:
            return Peer()
        return participant.position

    def _rows(self, name: str) -> list[Message]:
        """Return the rows of a conversation in order of `seq`."""
        rows = (row for row in self.store.rows.values() if row.conversation_id == name)
        return sorted(rows, key=lambda row: row.seq or 0)

    def _is_unread(self, row: Message, participant: Participant) -> bool:
        return (
            (row.seq or 0) > participant.read_seq
            and row.id > participant.floor_id
            and row.from_user_id != participant.user_id
            and not row.is_recalled
            and row.msg_type is not MsgType.NOTICE
            and (participant.user_id, row.id) not in self.store.deletes
        )
