"""Keep the order of one partition's records until they are sent. Only `kafka.outbox` uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiokafka.structs import TopicPartition

from messaging.eventlog.kafka.batch import RecordBatch
from messaging.ports.log import Confirmation, OutgoingRecord


@dataclass(slots=True, eq=False)
class Lane:
    """Hold the batches of one partition: one that is being sent at most, and one that waits.

    `on_made`: called with each new batch.
    `on_filled`: called when records were added for a caller of `take_in_turn`.
    """

    place: TopicPartition
    on_made: Callable[[RecordBatch], None]
    on_filled: Callable[[], None]
    is_sending: bool = False
    _returned: RecordBatch | None = None  # to be sent again, before the batch that waits
    _waiting: RecordBatch | None = None  # takes records
    _callers: int = 0  # of `take_in_turn`
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _has_left: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_due(self) -> bool:
        """Tell whether a batch is to be sent now."""
        return not self.is_sending and (self._returned or self._waiting) is not None

    def take(self, records: Sequence[OutgoingRecord], sent: list[Confirmation]) -> None:
        """Add the records that fit now, unless earlier callers wait for their turn.

        A confirmation is added to `sent` for each record that was added.
        """
        if not self._callers:
            self._fill(records, sent)

    async def take_in_turn(
        self, records: Sequence[OutgoingRecord], sent: list[Confirmation]
    ) -> None:
        """Add the records after those in `sent`, as the batches before them leave.

        Leaves: a record without a confirmation in `sent`, when the call is cancelled, was not
        added.
        """
        self._callers += 1
        try:
            async with self._turn:
                while len(sent) < len(records):
                    self._has_left.clear()
                    self._fill(records, sent)
                    self.on_filled()
                    if len(sent) < len(records):
                        await self._has_left.wait()
        finally:
            self._callers -= 1

    def next(self) -> RecordBatch:
        """Return the batch that is due; the caller gives it back, or says `sent`."""
        batch, self._returned = self._returned, None
        if batch is None:
            batch, self._waiting = self._waiting, None
            self._has_left.set()
        assert batch is not None, "nothing is due"
        self.is_sending = True
        return batch

    def sent(self) -> None:
        """Note that the batch of `next` needs to be sent no more."""
        self.is_sending = False

    def give_back(self, batch: RecordBatch) -> None:
        """Keep the batch of `next`, to be sent again."""
        self.is_sending, self._returned = False, batch

    def _fill(self, records: Sequence[OutgoingRecord], sent: list[Confirmation]) -> None:
        if self._waiting is None:
            self._waiting = RecordBatch(self.place)
            self.on_made(self._waiting)
        taken = self._waiting.fill(records[len(sent) :] if sent else records)
        sent += [self._waiting.confirmation] * taken
