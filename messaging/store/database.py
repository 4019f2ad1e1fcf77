"""Implement MessageStore over Django's database: SQLite, MySQL or MariaDB.

Built by `runtime`. The statements come from `tables` and the transaction of a batch from `apply`;
no use case is known here. A delete, a lease and a dead letter are statements of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from messaging import models
from messaging.conf import Settings
from messaging.domain.backend_errors import StoreUnavailable, ValueRefused
from messaging.domain.breakers import Breaker
from messaging.domain.message import Message
from messaging.ports.cache_service import LeaseRequest
from messaging.ports.log import Position
from messaging.ports.store import ApplyResult, CacheHint, DeadLetter, DeadLetterState
from messaging.store.apply import apply_batch, reserve
from messaging.store.deleting import delete_for_user
from messaging.store.in_threads import InThreads, in_thread
from messaging.store.limits import fits
from messaging.store.statements import chunks
from messaging.store.tables import Tables

THREADS = 8


class DatabaseStore(InThreads[Tables]):
    """Implement `ports.store.MessageStore`, with a bound on each call.

    Each call ends within `store_timeout_s` and one probe of the server.
    Raises: StoreBusy and StoreUnavailable, at that bound at the latest.
    """

    def __init__(self, settings: Settings) -> None:
        timeout_s = settings.store_timeout_s
        super().__init__(Tables, name="store", threads=THREADS, timeout_s=timeout_s)

    @property
    def breaker(self) -> Breaker:
        """Return the circuit breaker, which is open while the database is away."""
        return self._threads.breaker

    async def apply(self, messages: Sequence[Message], *, hinted: bool = False) -> ApplyResult:
        if not messages:
            return ApplyResult()
        try:
            return await self._threads.run(
                lambda connection: apply_batch(connection, messages, hinted=hinted)
            )
        except ValueRefused as error:
            if len(messages) == 1 and fits(messages[0]):
                text = f"{error}: the tables refuse what fits them; are they migrated?"
                raise StoreUnavailable(text) from error
            raise

    get = in_thread(Tables.messages)
    find = in_thread(Tables.find)
    page = in_thread(Tables.page)
    nth_visible = in_thread(Tables.nth_visible)
    tail = in_thread(Tables.tail)
    find_idempotency_records = in_thread(Tables.idempotency_records_of_names)
    reserve = in_thread(reserve)
    deleted_among = in_thread(Tables.deleted_among)
    deletes_of = in_thread(Tables.deletes_of_user)
    floors_of = in_thread(Tables.floors_of)
    record_hints = in_thread(Tables.insert_hints)
    hints = in_thread(Tables.hints)
    announce_loss = in_thread(Tables.announce_loss)
    withdraw_loss = in_thread(Tables.withdraw_loss)
    is_loss_announced = in_thread(Tables.is_loss_announced)
    ping = in_thread(Tables.ping)

    async def delete_for_user(
        self,
        user_id: int,
        message_ids: Sequence[int],
        conversation_id: str,
        *,
        repeat: Message | None = None,
    ) -> list[int]:
        return await self._threads.run(
            lambda connection: delete_for_user(
                connection, user_id, message_ids, conversation_id, repeat
            )
        )

    async def drop_hints(self, hints: Sequence[CacheHint]) -> None:
        ids = [hint.hint_id for hint in hints if hint.hint_id is not None]
        await self.with_tables(lambda tables: tables.delete_hints(ids))

    async def save_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        await self._threads.run(lambda connection: _save_dead_letters(connection, letters))

    async def settle_dead_letters(
        self, sources: Sequence[Position], state: DeadLetterState
    ) -> None:
        def settle(connection: BaseDatabaseWrapper) -> None:
            with transaction.atomic(using=connection.alias):
                _settle_dead_letters(connection, sources, state)

        await self._threads.run(settle)

    async def take_worker(self, request: LeaseRequest) -> int | None:
        def take(connection: BaseDatabaseWrapper) -> int | None:
            with transaction.atomic(using=connection.alias):
                return Tables(connection).take_worker(request)

        return await self._threads.run(take)

    async def probe(self) -> None:
        """Probe the server in a thread kept for probes, as the other threads may all be busy.

        Raises: StoreUnavailable when no answer comes soon.
        Leaves: the breaker open.
        """
        await self._threads.probe()


def _save_dead_letters(connection: BaseDatabaseWrapper, letters: Sequence[DeadLetter]) -> None:
    """Insert the letters whose position has no row yet.

    No letter may be refused: texts are cut to their columns, and invalid characters are escaped.

    Safe to repeat.
    """
    rows = [
        models.DeadLetter(
            topic=letter.topic,
            partition=letter.partition,
            offset=letter.offset,
            key=letter.key,
            value=letter.value,
            reason=_cut(letter.reason, models.DEAD_LETTER_REASON_LENGTH),
            error=_cut(letter.error, models.DEAD_LETTER_ERROR_LENGTH),
            attempts=letter.attempts,
            message_id=letter.message_id,
        )
        for letter in letters
    ]
    position = ["topic", "partition", "offset"]
    named = connection.features.supports_update_conflicts_with_target
    for part in chunks(rows, size_of=lambda row: 16_384 + 2 * (len(row.key) + len(row.value))):
        models.DeadLetter.objects.using(connection.alias).bulk_create(
            part,
            update_conflicts=True,  # changes nothing: on MySQL, ignoring conflicts would cut values
            update_fields=["topic"],
            unique_fields=position if named else None,
        )


def _settle_dead_letters(
    connection: BaseDatabaseWrapper, sources: Sequence[Position], state: DeadLetterState
) -> None:
    letters = models.DeadLetter.objects.using(connection.alias)
    now = timezone.now()
    for source in sorted(sources, key=lambda s: (s.topic, s.partition, s.offset)):
        letters.filter(topic=source.topic, partition=source.partition, offset=source.offset).update(
            state=state.value, updated_at=now
        )


def _cut(text: str, length: int) -> str:
    return text.encode(errors="backslashreplace").decode()[:length]
