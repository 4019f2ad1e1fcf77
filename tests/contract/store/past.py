"""Read and write the tables of each kind of message store, past its methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from asgiref.sync import sync_to_async

from messaging import models
from messaging.domain.conversations import Participant
from messaging.ports.store import MessageStore
from messaging.testing.store import MemoryStore


class Delete(NamedTuple):
    conversation_id: str | None
    rev: int


async def changes(store: MessageStore) -> dict[int, int]:
    """Return the `rev` of each row of changes, by message."""
    if isinstance(store, MemoryStore):
        return dict(store.changes)
    return await sync_to_async(lambda: {c.pk: c.rev for c in models.MessageChange.objects.all()})()


async def last_rev(store: MessageStore, conversation_id: str) -> int:
    if isinstance(store, MemoryStore):
        return store.head(conversation_id).last_rev
    return (await models.Conversation.objects.aget(pk=conversation_id)).last_rev


async def last_id(store: MessageStore, conversation_id: str) -> int:
    if isinstance(store, MemoryStore):
        return store.head(conversation_id).last_id
    return (await models.Conversation.objects.aget(pk=conversation_id)).last_message_id


async def deletes(store: MessageStore) -> dict[tuple[int, int], Delete]:
    """Return all deletes, by user and message."""
    if isinstance(store, MemoryStore):
        return {key: Delete(*each) for key, each in store.deletes.items()}

    def read() -> dict[tuple[int, int], Delete]:
        rows = models.MessageDelete.objects.all()
        return {(d.user_id, d.message_id): Delete(d.conversation_id, d.rev) for d in rows}

    return await sync_to_async(read)()


async def participant_revs(store: MessageStore) -> dict[tuple[int, str], int]:
    if isinstance(store, MemoryStore):
        return {seat: each.rev for seat, each in store.participants.items()}

    def read() -> dict[tuple[int, str], int]:
        rows = models.Participant.objects.all()
        return {(p.user_id, p.conversation_id): p.rev for p in rows}

    return await sync_to_async(read)()


async def add_participants(store: MessageStore, name: str, user_ids: Sequence[int]) -> None:
    if isinstance(store, MemoryStore):
        for i in user_ids:
            store.participants[i, name] = Participant(user_id=i, conversation_id=name)
        return
    rows = [models.Participant(user_id=i, conversation_id=name) for i in user_ids]
    await models.Participant.objects.abulk_create(rows)
