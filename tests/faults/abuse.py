"""Run a client that abuses the service for some seconds: `python -m tests.faults.abuse KIND …`.

The client is a process of its own, so that its work is no part of the ordinary load. Its
connections come from another loopback address than those of the ordinary load, because the limits
of an address are part of the defence. Every kind is bounded in time, in requests at once and in
requests a second, because the abuser has no core of its own here. No answer is judged here: the
figures of the ordinary clients show how well the service stood the abuse.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

ADDRESS = "127.0.0.66"
CLIENT_TIMEOUT_S = 30.0
REQUESTS_PER_S = 300  # of one kind
UNREAD_CONNECTIONS = 50
DEEP_PAGE, DEEP_SIZE = 10, 100


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Abuser:
    """Hold a token of a user of the site who has a long conversation with `other`."""

    token: str
    other: int

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def bodies(abuser: Abuser) -> Iterator[Request]:
    """Yield bodies that are large, deep or slow to decode, with a token and without one."""
    marks = "a" + "\u0301" * 32_000 + "\u0316" * 32_000
    numbers = b"[" + b",".join([b"1e308"] * 40_000) + b"]"
    texts = [
        json.dumps({"username": marks, "password": "x"}, ensure_ascii=False).encode(),
        json.dumps({"username": "x" * 60_000, "password": "x" * 60_000}).encode(),
        b'{"username": "abuser", "password": ' + numbers + b"}",
        b'{"username": ' + b"[" * 60_000 + b"]" * 60_000 + b"}",
        b'{"username": ' + b"9" * 200_000 + b"}",
        b"{" + b",".join(b'"k%d":0' % n for n in range(20_000)) + b"}",
        b"x" * 300_000,
    ]
    paths = ("user/login", "user/register", "token/", "token/refresh/", "message/send")
    for text, path in itertools.cycle(itertools.product(texts, paths)):
        headers = abuser.headers if path == "message/send" else {}
        yield Request("POST", f"/api/{path}", headers, text)


def logins(abuser: Abuser) -> Iterator[Request]:
    """Yield logins by guessed passwords, of names that exist and of names that do not."""
    for n in itertools.count():
        name = f"nobody{n}" if n % 2 else "alice"
        body = json.dumps({"username": name, "password": f"wrong horse {n}"}).encode()
        yield Request("POST", f"/api/{('user/login', 'token/')[n % 3 == 0]}", {}, body)


def tokens(abuser: Abuser) -> Iterator[Request]:
    """Yield wrong tokens, spellings of a right one, and spellings of other headers."""
    path = "/api/message/1"
    for n in itertools.count():
        yield Request("GET", path, {"Authorization": f"Bearer wrong.{n}.token"})
        yield Request("GET", path, {"Authorization": "Bearer " + "x" * 8_000 + str(n)})
        yield Request("GET", path, {"Authorization": "Bearer" + " " * (n % 2_000) + abuser.token})
        languages = ",".join(f"x{n}-{each};q=0.{each % 9 + 1}" for each in range(300))
        yield Request("GET", path, abuser.headers | {"Accept-Language": languages})
        yield Request("GET", path, abuser.headers | {"Host": f"host{n}.example"})


def pages(abuser: Abuser) -> Iterator[Request]:
    """Yield deep pages of a conversation of large messages."""
    for page in itertools.cycle(range(1, DEEP_PAGE + 1)):
        query = f"targetId={abuser.other}&chatType=1&page={page}&size={DEEP_SIZE}"
        yield Request("GET", f"/api/message/history?{query}", abuser.headers)


def strangers(abuser: Abuser) -> Iterator[Request]:
    """Yield sends to users that do not exist."""
    while True:
        body = {"toUserId": str(random.randrange(10**9, 10**15)), "chatType": 1, "msgType": 1}
        text = json.dumps(body | {"content": "x"}).encode()
        yield Request("POST", "/api/message/send", abuser.headers, text)


KINDS: dict[str, tuple[Callable[[Abuser], Iterator[Request]], int]] = {
    "bodies": (bodies, 4),
    "logins": (logins, 64),
    "tokens": (tokens, 8),
    "pages": (pages, 4),
    "strangers": (strangers, 64),
}
"""Give by name the requests of a kind, and how many of them are made at once."""


async def ask(
    session: aiohttp.ClientSession, requests: Iterator[Request], until_s: float, pause_s: float
) -> Counter[int]:
    """Make one request after the other until the time is up; count the answers by status.

    Between two requests is a random pause, on average `pause_s`.
    """
    answers: Counter[int] = Counter()
    while time.monotonic() < until_s:
        request = next(requests)
        try:
            async with session.request(
                request.method, request.path, data=request.body, headers=request.headers
            ) as answer:
                await answer.read()
                answers[answer.status] += 1
        except (aiohttp.ClientError, TimeoutError):
            answers[0] += 1
        await asyncio.sleep(random.uniform(0, 2 * pause_s))
    return answers


async def read_nothing(base_url: str, abuser: Abuser, until_s: float) -> None:
    """Ask for a large page over many connections and read none of the answers."""
    site = urlsplit(base_url)
    query = f"targetId={abuser.other}&chatType=1&size={DEEP_SIZE}"
    head = f"GET /api/message/history?{query} HTTP/1.1\r\nHost: x\r\n"
    text = f"{head}Authorization: Bearer {abuser.token}\r\n\r\n".encode()
    writers = []
    for _ in range(UNREAD_CONNECTIONS):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(
                site.hostname, site.port, local_addr=(ADDRESS, 0), limit=1
            )
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(text)
            writers.append(writer)
    await asyncio.sleep(max(0.0, until_s - time.monotonic()))
    for writer in writers:
        writer.close()


async def abuse(base_url: str, abuser: Abuser, kinds: list[str], seconds: float) -> Counter[int]:
    """Abuse the service in all of these ways at once."""
    until_s = time.monotonic() + seconds
    connector = aiohttp.TCPConnector(local_addr=(ADDRESS, 0), limit=0)
    limit = aiohttp.ClientTimeout(total=CLIENT_TIMEOUT_S)
    async with aiohttp.ClientSession(base_url, connector=connector, timeout=limit) as session:
        work: list[Awaitable[object]] = []
        for kind in kinds:
            if kind == "unread":
                work.append(read_nothing(base_url, abuser, until_s))
                continue
            make, at_once = KINDS[kind]
            requests = make(abuser)
            pause_s = at_once / REQUESTS_PER_S
            work += [ask(session, requests, until_s, pause_s) for _ in range(at_once)]
        counts = await asyncio.gather(*work)
    return sum((each for each in counts if isinstance(each, Counter)), Counter())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="+", choices=[*KINDS, "unread"])
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--other", type=int, required=True, help="with whom the abuser has talked")
    options = parser.parse_args()
    abuser = Abuser(input(), options.other)  # a token is no argument: others could read it
    answers = asyncio.run(abuse(options.base_url, abuser, options.kinds, options.seconds))
    print(json.dumps({str(status): count for status, count in sorted(answers.items())}))


if __name__ == "__main__":
    main()
