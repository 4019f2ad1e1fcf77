"""Account for the ids that clients were told, by the rows of the database. Used by the loads."""

from __future__ import annotations

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

DRAIN_TIMEOUT_S = 60.0
QUERY_IDS = 500

Row = tuple[int, str, int, str]  # id, conversation, seq, content


@dataclass(frozen=True, slots=True)
class AcknowledgedSend:
    message_id: int
    conversation_id: str
    content: str


@dataclass(slots=True)
class AccountedLoad:
    """Hold the answers that the clients of a load got."""

    acknowledged: list[AcknowledgedSend] = field(default_factory=list)
    refused: int = 0
    tried_again: int = 0
    errors: Counter[int] = field(default_factory=Counter)
    durability: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)


def stored_rows(told: list[int]) -> dict[int, Row]:
    """Return the row that each id leads to: its own, or the row of the send that it repeats."""
    from messaging.models import Message, MessageAlias

    columns = ("id", "conversation_id", "seq", "content")
    found: dict[int, Row] = {}
    for start in range(0, len(told), QUERY_IDS):
        chunk = told[start : start + QUERY_IDS]
        aliases = MessageAlias.objects.filter(message_id__in=chunk)
        owners = {told_id: told_id for told_id in chunk}
        owners |= dict(aliases.values_list("message_id", "owner_id"))
        rows = Message.objects.filter(id__in=owners.values()).values_list(*columns)
        by_id = {row[0]: row for row in rows}
        found |= {told_id: by_id[owner] for told_id, owner in owners.items() if owner in by_id}
    return found


def wait_drained(told: list[int]) -> tuple[dict[int, Row], float]:
    started = time.perf_counter()
    rows = stored_rows(told)
    while len(rows) < len(told) and time.perf_counter() - started < DRAIN_TIMEOUT_S:
        time.sleep(0.25)
        rows = stored_rows(told)
    return rows, time.perf_counter() - started


def account(load: AccountedLoad, rows: dict[int, Row]) -> dict[str, int]:
    """Count the acknowledged messages that are missing, doubled, merged, altered or out of order.

    `rows` are by the ids that clients were told (`stored_rows`). "merged" counts sends that lead to
    the row of another send. "out of order" compares the ids of a conversation with the order of its
    sends. "gaps" counts conversations that have skipped a number or used it twice.
    """
    sent = {message.message_id: message for message in load.acknowledged}
    ids: dict[str, list[int]] = defaultdict(list)
    for message in load.acknowledged:
        ids[message.conversation_id].append(message.message_id)
    seqs = _seqs_of(ids)
    owners = {row[0] for row in rows.values()}
    return {
        "missing": len(sent.keys() - rows.keys()),
        "doubled": sum(map(len, seqs.values())) - len(owners),
        "merged": len(load.acknowledged) - len(sent) + len(rows) - len(owners),
        "altered": sum(
            1
            for told_id, row in rows.items()
            if row[3].encode() != sent[told_id].content.encode()
            or row[1] != sent[told_id].conversation_id
        ),
        "out of order": _steps_back(ids),
        "gaps": sum(1 for found in seqs.values() if sorted(found) != [*range(1, len(found) + 1)]),
    }


def overtaken(load: AccountedLoad, rows: dict[int, Row]) -> int:
    """Count the messages that were stored after a later message of their conversation.

    The count is 0 while nothing but consumers dies. A message that a sweep or the database itself
    had to take may be numbered after a later one.
    """
    seqs: dict[str, list[int]] = defaultdict(list)
    for message in load.acknowledged:
        if message.message_id in rows:
            seqs[message.conversation_id].append(rows[message.message_id][2])
    return _steps_back(seqs)


def _steps_back(conversations: Mapping[str, list[int]]) -> int:
    return sum(
        1
        for numbers in conversations.values()
        for earlier, later in itertools.pairwise(numbers)
        if later <= earlier
    )


def _seqs_of(conversations: Iterable[str]) -> dict[str, list[int]]:
    """Return the numbers of all rows of these conversations, which belong to this run alone."""
    from messaging.models import Message

    rows = Message.objects.filter(conversation_id__in=list(conversations))
    seqs: dict[str, list[int]] = defaultdict(list)
    for conversation_id, seq in rows.values_list("conversation_id", "seq"):
        seqs[conversation_id].append(seq)
    return seqs
