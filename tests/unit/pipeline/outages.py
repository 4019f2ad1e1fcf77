"""Take the cache of a process in memory away, and bring the cache back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

from msgspec import structs

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.message import Message
from messaging.service.backends import Backends
from messaging.service.history import history
from messaging.service.send import send
from messaging.testing.cache import MemoryCache
from tests.support.memory import ALICE, MemoryService, to_bob, with_bob


@dataclass
class Link:
    """Lead one process to the cache, until the link is cut."""

    cache: MemoryCache
    is_cut: bool = False

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **options: Any) -> Any:
            if self.is_cut:
                raise CacheUnavailable
            return await getattr(self.cache, name)(*args, **options)

        return call


async def with_secret() -> MemoryService:
    """Open a service in which a stored message of alice's is listed, with its content cached."""
    service = MemoryService()
    await service.hints.recover()
    await send(service.backends, to_bob("secret"), sender_id=ALICE)
    await service.consume()
    await listed(service)
    return service


async def listed(service: MemoryService) -> list[str]:
    page = await history(service.backends, with_bob(), reader_id=ALICE)
    return [message.content for message in page.messages]


async def newest(service: MemoryService) -> int:
    page = await history(service.backends, with_bob(), reader_id=ALICE)
    return page.messages[0].id


def lose(service: MemoryService) -> None:
    service.cache.down = True
    service.hints.breaker.trip()


def with_store(service: MemoryService, store: Any) -> Backends:
    return replace(
        service.backends, store=store, writes=replace(service.backends.writes, store=store)
    )


async def deduplicated(service: MemoryService, repeat: Message) -> Message:
    """Store the same send under another id first, then the repeat; return the first."""
    first = structs.replace(repeat, id=repeat.id + 1)
    await service.store.apply([first])
    await service.store.apply([repeat])
    return first


async def regain(service: MemoryService) -> None:
    service.cache.down = False
    assert await service.hints.breaker.try_now()


class Replaced:
    """Wrap a port and replace some of its methods."""

    def __init__(self, port: object, **methods: object) -> None:
        self._port = port
        vars(self).update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)


async def fail(*args: object) -> None:
    raise CacheUnavailable


async def hang(*args: object, **options: object) -> None:
    await asyncio.Event().wait()
