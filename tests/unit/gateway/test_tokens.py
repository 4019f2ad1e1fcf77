"""Check that a token is verified once, and is not valid for longer than it says."""

from __future__ import annotations

import time
import tracemalloc
from datetime import timedelta

import pytest
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from messaging.domain.errors import AuthenticationRequired, TokenExpired
from messaging.gateway import tokens
from messaging.gateway.tokens import TokenCache
from messaging.limits import MAX_TOKEN_BYTES
from messaging.testing.directory import MemoryDirectory

ALICE = 1


class TokenClock:
    def __init__(self) -> None:
        self.now_s = time.time()

    def __call__(self) -> float:
        return self.now_s


def header(user_id: int = ALICE, *, life_s: float = 60) -> bytes:
    token = AccessToken()
    token["user_id"] = str(user_id)
    token.set_exp(lifetime=timedelta(seconds=life_s))
    return f"Bearer {token}".encode()


@pytest.fixture
def directory() -> MemoryDirectory:
    return MemoryDirectory([ALICE])


async def test_a_good_token_names_its_user_again_and_again(directory: MemoryDirectory) -> None:
    cache, authorization = TokenCache(), header()
    assert [await cache.user_of(authorization, directory) for _ in range(3)] == [ALICE] * 3
    assert len(cache._known) == 1


async def test_a_known_token_expires_to_the_second(directory: MemoryDirectory) -> None:
    clock = TokenClock()
    cache, authorization = TokenCache(clock), header(life_s=60)
    assert await cache.user_of(authorization, directory) == ALICE
    clock.now_s += 58
    assert await cache.user_of(authorization, directory) == ALICE
    clock.now_s += 2
    with pytest.raises(TokenExpired):
        await cache.user_of(authorization, directory)
    assert cache._known == {}


async def test_a_user_who_is_locked_out_is_refused_at_once(directory: MemoryDirectory) -> None:
    cache, authorization = TokenCache(), header()
    assert await cache.user_of(authorization, directory) == ALICE
    directory.inactive.add(ALICE)
    with pytest.raises(TokenExpired):
        await cache.user_of(authorization, directory)


@pytest.mark.parametrize("authorization", [b"", b"Bearer", b"Basic YTpi", b"Token x"])
async def test_no_bearer_token_is_asked_for_one(
    directory: MemoryDirectory, authorization: bytes
) -> None:
    cache = TokenCache()
    if authorization == b"Bearer":
        with pytest.raises(TokenExpired):
            await cache.user_of(authorization, directory)
    else:
        with pytest.raises(AuthenticationRequired):
            await cache.user_of(authorization, directory)
    assert cache._known == {}


async def test_bad_tokens_are_refused_and_not_remembered(directory: MemoryDirectory) -> None:
    cache, good = TokenCache(), header()
    bad = [good[:-1], good + b"x", b"Bearer a.b.c", b"Bearer \xff", header(life_s=-1)]
    bad.append(f"Bearer {RefreshToken()}".encode())
    for authorization in bad:
        with pytest.raises(TokenExpired):
            await cache.user_of(authorization, directory)
    assert cache._known == {}


async def test_many_spellings_of_one_token_are_one(directory: MemoryDirectory) -> None:
    cache, good = TokenCache(), header()
    scheme, _, token = good.partition(b" ")
    tracemalloc.start()
    try:
        for number in range(10_000):
            spelled = b" " * (number % 100) + scheme + b" " * (1 + number // 100) + token
            assert await cache.user_of(spelled, directory) == ALICE
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(cache._known) == 1
    assert kept < 16_384


@pytest.mark.parametrize("known", [False, True])
async def test_a_token_has_one_spelling(directory: MemoryDirectory, known: bool) -> None:
    """A base64 decoder may skip foreign characters, and ignore the last two bits of a signature."""
    cache, good = TokenCache(), header()
    if known:
        await cache.user_of(good, directory)
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(good[-1:])
    respelled = [good[:-1] + alphabet[last ^ bits : (last ^ bits) + 1] for bits in (1, 2, 3)]
    respelled += [
        good + b"=",
        good + b"!",
        good[:-9] + b"!" + good[-9:],
        good[:-9] + b"\n" + good[-9:],
    ]
    respelled += [good.replace(b" ", b" x"), good + b"x" * MAX_TOKEN_BYTES]
    for authorization in respelled:
        with pytest.raises(TokenExpired):
            await cache.user_of(authorization, directory)
    assert len(cache._known) == int(known)


async def test_a_token_past_its_length_is_not_opened(
    directory: MemoryDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "open_token", None)
    with pytest.raises(TokenExpired):
        await TokenCache().user_of(b"Bearer " + b"x" * (MAX_TOKEN_BYTES + 1), directory)


async def test_memory_is_bounded(
    directory: MemoryDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "MOST_TOKENS", 3)
    cache = TokenCache()
    for life_s in range(60, 70):
        await cache.user_of(header(life_s=life_s), directory)
    assert len(cache._known) == 3
