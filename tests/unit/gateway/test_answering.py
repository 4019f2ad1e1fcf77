"""Test that large answers are sent in pieces, at their clients' pace, and within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from messaging.domain.errors import TooManyRequests
from messaging.gateway import answering
from messaging.gateway.answering import send_answer
from messaging.gateway.untaken import Untaken
from messaging.limits import ANSWER_PIECE_BYTES, MAX_UNTAKEN_ADDRESS_BYTES, MAX_UNTAKEN_BYTES

CONTENT = b"0123456789" * 30_000


def scope(address: str = "203.0.113.7") -> dict[str, Any]:
    return {"client": (address, 50_000), "headers": []}


@pytest.fixture(autouse=True)
def untaken(monkeypatch: pytest.MonkeyPatch) -> Untaken:
    untaken = Untaken()
    monkeypatch.setattr(answering, "_untaken", untaken)
    return untaken


async def sent(content: bytes) -> list[Mapping[str, Any]]:
    events: list[Mapping[str, Any]] = []

    async def send(event: Mapping[str, Any]) -> None:
        events.append(event)

    await send_answer(200, [(b"content-length", b"7")], content, scope(), send)
    return events


async def test_a_small_answer_is_one_event() -> None:
    start, body = await sent(CONTENT[:ANSWER_PIECE_BYTES])
    assert start["headers"] == [(b"content-length", b"7")]
    assert body == {"type": "http.response.body", "body": CONTENT[:ANSWER_PIECE_BYTES]}


async def test_a_large_answer_comes_in_pieces_and_whole() -> None:
    start, *bodies = await sent(CONTENT)
    assert start["headers"] == [(b"content-length", b"300000")]
    assert b"".join(event["body"] for event in bodies) == CONTENT
    assert max(len(event["body"]) for event in bodies) == ANSWER_PIECE_BYTES
    assert [event.get("more_body", False) for event in bodies] == [True] * 5 + [False]


async def test_a_client_that_takes_nothing_is_given_up(
    untaken: Untaken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "UNTAKEN_TIMEOUT_S", 0.05)
    pieces = 0

    async def send(event: Mapping[str, Any]) -> None:
        nonlocal pieces
        pieces += event["type"] == "http.response.body"
        if pieces == 2:
            await asyncio.Event().wait()

    await send_answer(200, [], CONTENT, scope(), send)
    assert pieces == 2
    assert (untaken._total, untaken._by_address) == (0, {})


async def test_what_waits_is_bounded_for_an_address_and_in_all(untaken: Untaken) -> None:
    async def send(event: Mapping[str, Any]) -> None:
        await asyncio.Event().wait()

    async def refused(address: str) -> bool:
        task = asyncio.create_task(send_answer(200, [], CONTENT, scope(address), send))
        await asyncio.sleep(0)
        if not task.done():
            waiting.append(task)
            return False
        with pytest.raises(TooManyRequests):
            await task
        return True

    waiting: list[asyncio.Task[None]] = []
    most = MAX_UNTAKEN_ADDRESS_BYTES // len(CONTENT)
    assert [await refused("203.0.113.1") for _ in range(most + 1)] == [False] * most + [True]
    while not await refused(f"203.0.113.{2 + len(waiting) // most}"):
        pass
    assert len(waiting) == MAX_UNTAKEN_BYTES // len(CONTENT)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert (untaken._total, untaken._by_address) == (0, {})
