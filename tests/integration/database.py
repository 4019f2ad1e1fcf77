"""Hold rows of the database as another client of it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from django.db import connection, transaction

from messaging.models import Conversation


@contextlib.contextmanager
def held_conversation(conversation_id: str) -> Iterator[None]:
    """Hold the lock of this conversation's row as another client's transaction."""
    holds, ends = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Conversation.objects.select_for_update().get(pk=conversation_id)
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
