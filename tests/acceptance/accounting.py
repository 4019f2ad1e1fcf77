"""Accounts for what clients were told against what the database holds. Used by the loads."""

from __future__ import annotations

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

DRAIN_TIMEOUT_S = 300.0
QUERY_IDS = 500

Row = tuple[int, str, int, str]  # id, conversation, seq, content


@dataclass(frozen=True, slots=True)
class Sent:
    message_id: int
    conversation_id: str
    content: str


@dataclass(slots=True)
class Load:
    """What the clients saw."""

    acknowledged: list[Sent] = field(default_factory=list)
    refused: int = 0
    tried_again: int = 0
    errors: Counter[int] = field(default_factory=Counter)
    durability: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)


def stored_rows(ids: list[int]) -> list[Row]:
    from messaging.models import Message

    columns = ("id", "conversation_id", "seq", "content")
    rows: list[Row] = []
    for start in range(0, len(ids), QUERY_IDS):
        chunk = ids[start : start + QUERY_IDS]
        rows += Message.objects.filter(id__in=chunk).values_list(*columns)
    return rows


def wait_drained(ids: list[int]) -> tuple[list[Row], float]:
    started = time.perf_counter()
    rows = stored_rows(ids)
    while len(rows) < len(ids) and time.perf_counter() - started < DRAIN_TIMEOUT_S:
        time.sleep(0.25)
        rows = stored_rows(ids)
    return rows, time.perf_counter() - started


def account(load: Load, rows: list[Row]) -> dict[str, int]:
    """How many acknowledged messages are missing, doubled, altered or out of order.

    The order is that of the ids, and a gap is a number that a conversation has skipped or used
    twice.
    """
    sent = {message.message_id: message for message in load.acknowledged}
    stored = {row[0]: row for row in rows}
    ids: dict[str, list[int]] = defaultdict(list)
    for message in load.acknowledged:
        ids[message.conversation_id].append(message.message_id)
    seqs = _seqs_of(ids)
    return {
        "missing": len(sent.keys() - stored.keys()),
        "doubled": len(load.acknowledged) - len(sent) + sum(map(len, seqs.values())) - len(stored),
        "altered": sum(
            1
            for i, row in stored.items()
            if row[3].encode() != sent[i].content.encode() or row[1] != sent[i].conversation_id
        ),
        "out of order": _steps_back(ids),
        "gaps": sum(1 for found in seqs.values() if sorted(found) != [*range(1, len(found) + 1)]),
    }


def overtaken(load: Load, rows: list[Row]) -> int:
    """Messages that were stored after a later one of their conversation.

    There are none while nothing but consumers dies; what a sweep or the database itself had to
    take may be numbered later than what came after it.
    """
    stored = {row[0]: row for row in rows}
    seqs: dict[str, list[int]] = defaultdict(list)
    for message in load.acknowledged:
        if message.message_id in stored:
            seqs[message.conversation_id].append(stored[message.message_id][2])
    return _steps_back(seqs)


def _steps_back(conversations: Mapping[str, list[int]]) -> int:
    return sum(
        1
        for numbers in conversations.values()
        for earlier, later in itertools.pairwise(numbers)
        if later <= earlier
    )


def _seqs_of(conversations: Iterable[str]) -> dict[str, list[int]]:
    """The numbers of all rows of these conversations, which belong to this run alone."""
    from messaging.models import Message

    rows = Message.objects.filter(conversation_id__in=list(conversations))
    seqs: dict[str, list[int]] = defaultdict(list)
    for conversation_id, seq in rows.values_list("conversation_id", "seq"):
        seqs[conversation_id].append(seq)
    return seqs
