"""Run an audit beside a service in memory, and plant the faults that the audit is to find."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from msgspec import structs

from messaging.audit.audit import Audit, AuditPlan
from messaging.audit.check import AuditBackends
from messaging.audit.findings import Defect, Fate
from messaging.audit.report import Report
from messaging.domain.events import encode_event
from messaging.domain.message import Message
from messaging.domain.requests import Ack
from messaging.ports.log import OutgoingRecord
from messaging.progress import Progress
from messaging.testing.group_inspector import MemoryGroupInspector
from messaging.testing.groups import MemoryGroups
from messaging.testing.inspectors import (
    MemoryCacheInspector,
    MemoryLogInspector,
    MemoryStoreInspector,
)
from tests.support.memory import MemoryService, message


@dataclass
class Audited:
    """Hold a service with an audit beside it; `plan` changes the options of every audit."""

    service: MemoryService = field(default_factory=MemoryService)
    plan: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        service, settings = self.service, self.service.settings
        self.stored = MemoryStoreInspector(service.store)
        self.groups = MemoryGroups(service.store)
        self.backends = AuditBackends(
            cache=service.cache,
            store=service.store,
            conversations=service.conversations,
            cached=MemoryCacheInspector(service.cache),
            stored=self.stored,
            groups=MemoryGroupInspector(self.groups),
            log=MemoryLogInspector(service.broker, settings.topic, settings.consumer_group),
            compensator=service.compensator(),
        )

    async def audit(self, **plan: Any) -> Report:
        """Run an audit with no time between its checks."""
        given = {"settle_s": 0.0} | self.plan | plan
        return await Audit(self.backends, AuditPlan(**given), Progress(StringIO())).run()

    async def accepted(self, **changes: Any) -> Message:
        """Return a message that the cache and the log hold."""
        sent = message(**changes)
        await self.service.acceptor.accept(sent, ack=Ack.LOG)
        return sent

    async def persisted(self, **changes: Any) -> Message:
        """Return the row of a message that was accepted and consumed."""
        sent = await self.accepted(**changes)
        await self.service.consume()
        return self.service.store.rows[sent.id]

    async def persisted_repeat(self, first: Message) -> Message:
        """Return a repeat of this send, accepted by the cache and deduplicated by the store."""
        repeat = await self.accepted(client_msg_id=first.client_msg_id)
        await self.service.consume()
        assert repeat.id not in self.service.store.rows
        return repeat

    async def append(self, *messages: Message) -> None:
        """Append messages to the log alone."""
        records = [OutgoingRecord(m.conversation_id.encode(), encode_event(m)) for m in messages]
        await self.service.log.append(self.service.settings.topic, records)

    def forget(self, *ids: int) -> None:
        """Let the cache lose these messages, with everything but the entries in its lists."""
        cache = self.service.cache
        for message_id in ids:
            cache.details.pop(message_id, None)
            cache.pending_set.remove(message_id)
            cache.lasting.discard(message_id)
        cache.idempotency_records = {
            k: c for k, c in cache.idempotency_records.items() if c.message_id not in ids
        }

    def alter_detail(self, message_id: int, **changes: Any) -> None:
        details = self.service.cache.details
        details[message_id] = structs.replace(details[message_id], **changes)

    def alter_row(self, message_id: int, **changes: Any) -> None:
        rows = self.service.store.rows
        rows[message_id] = structs.replace(rows[message_id], **changes)


def wrong(report: Report) -> dict[Defect, list[str]]:
    """Return the findings by kind, with their examples."""
    return {kind: tally.examples(10) for kind, tally in report.findings.kinds.items()}


def fates(report: Report, source: str) -> dict[Fate, int]:
    return dict(report.fates[source])
