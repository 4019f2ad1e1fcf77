"""Open conversation stores of each kind, with functions that write and read past the store."""

from __future__ import annotations

from typing import Protocol

import msgspec
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from messaging import models
from messaging.conf import Settings
from messaging.domain.conversations import NEVER, Participant
from messaging.domain.groups import OutReason
from messaging.ports.conversations import ConversationStore
from messaging.ports.store import MessageStore
from messaging.store.conversations import DatabaseConversations
from messaging.store.database import DatabaseStore
from messaging.testing.conversations import MemoryConversations
from messaging.testing.store import MemoryStore
from messaging.testing.store_tables import MemoryDelete

COLUMNS = Participant.__struct_fields__


class Rig(Protocol):
    """Hold a conversation store with its message store, and write or read the tables past both."""

    @property
    def conversations(self) -> ConversationStore: ...

    @property
    def store(self) -> MessageStore: ...

    async def put(self, *participants: Participant) -> None:
        """Write participants in place of what is there."""

    async def participants(self) -> dict[tuple[int, str], Participant]:
        """Return all participants by user and conversation."""

    async def show_receipts(self, user_id: int, receipts_from: int) -> None:
        """Let a user show receipts from this time on; NEVER hides them."""

    async def delete(self, user_id: int, name: str, *, ids: list[int], rev: int) -> None:
        """Insert a user's deletes of messages, with this `rev` of the participant."""

    async def close(self) -> None: ...


class InMemory:
    def __init__(self, settings: Settings) -> None:
        self.store = MemoryStore()
        self.conversations = MemoryConversations(self.store)

    async def put(self, *participants: Participant) -> None:
        for each in participants:
            self.store.participants[each.user_id, each.conversation_id] = each

    async def participants(self) -> dict[tuple[int, str], Participant]:
        return dict(self.store.participants)

    async def show_receipts(self, user_id: int, receipts_from: int) -> None:
        self.store.shown_from[user_id] = receipts_from

    async def delete(self, user_id: int, name: str, *, ids: list[int], rev: int) -> None:
        self.store.deletes |= {(user_id, i): MemoryDelete(name, rev) for i in ids}

    async def close(self) -> None:
        await self.conversations.close()
        await self.store.close()


class InDatabase:
    def __init__(self, settings: Settings) -> None:
        self.store = DatabaseStore(settings)
        self.conversations = DatabaseConversations(settings)

    async def put(self, *participants: Participant) -> None:
        def write() -> None:
            rows = models.Participant.objects
            for each in participants:
                rows.filter(pk=(each.user_id, each.conversation_id)).delete()
            rows.bulk_create(models.Participant(**msgspec.structs.asdict(p)) for p in participants)

        await sync_to_async(write)()

    async def participants(self) -> dict[tuple[int, str], Participant]:
        def read() -> dict[tuple[int, str], Participant]:
            rows = models.Participant.objects.values(*COLUMNS)
            for row in rows:
                row["out_reason"] = OutReason(row["out_reason"]) if row["out_reason"] else None
            return {(r["user_id"], r["conversation_id"]): Participant(**r) for r in rows}

        return await sync_to_async(read)()

    async def show_receipts(self, user_id: int, receipts_from: int) -> None:
        user = await User.objects.acreate(id=user_id, username=f"user {user_id}")
        hides = receipts_from == NEVER
        await models.Profile.objects.acreate(
            user=user, shows_receipts=not hides, receipts_from=0 if hides else receipts_from
        )

    async def delete(self, user_id: int, name: str, *, ids: list[int], rev: int) -> None:
        deletes = [
            models.MessageDelete(user_id=user_id, message_id=i, conversation_id=name, rev=rev)
            for i in ids
        ]
        await models.MessageDelete.objects.abulk_create(deletes)

    async def close(self) -> None:
        await self.conversations.close()
        await self.store.close()
