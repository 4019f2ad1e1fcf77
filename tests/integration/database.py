"""Hold rows of the database as another client of it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from messaging.models import ChatGroup, Conversation, Participant


def held_conversation(conversation_id: str) -> AbstractContextManager[None]:
    return _held(Conversation.objects.filter(pk=conversation_id))


def held_group(group_id: int) -> AbstractContextManager[None]:
    return _held(ChatGroup.objects.filter(pk=group_id))


def held_participant(user_id: int, conversation_id: str) -> AbstractContextManager[None]:
    return _held(Participant.objects.filter(pk=(user_id, conversation_id)))


@contextlib.contextmanager
def _held(row: QuerySet[Any]) -> Iterator[None]:
    """Hold the lock of this row as another client's transaction."""
    holds, ends = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            row.select_for_update().get()
            holds.set()
            ends.wait(30)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert holds.wait(5)
    try:
        yield
    finally:
        ends.set()
        thread.join()
