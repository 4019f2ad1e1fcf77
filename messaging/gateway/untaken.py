"""Bound how much of large answers may wait for clients that have not taken them yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from messaging.domain.errors import TooManyRequests
from messaging.limits import MAX_UNTAKEN_ADDRESS_BYTES, MAX_UNTAKEN_BYTES


class Untaken:
    """Count the bytes that wait in this process, in all and for each client address."""

    def __init__(self) -> None:
        self._total = 0
        self._by_address: dict[str, int] = {}

    @contextmanager
    def hold(self, address: str, size: int) -> Iterator[None]:
        """Count the bytes of an answer while its client takes them.

        Raises: TooManyRequests past a bound.
        """
        of_address = self._by_address.get(address, 0)
        if self._total + size > MAX_UNTAKEN_BYTES:
            raise TooManyRequests
        if of_address + size > MAX_UNTAKEN_ADDRESS_BYTES:
            raise TooManyRequests
        self._total += size
        self._by_address[address] = of_address + size
        try:
            yield
        finally:
            self._total -= size
            self._by_address[address] -= size
            if not self._by_address[address]:
                del self._by_address[address]
