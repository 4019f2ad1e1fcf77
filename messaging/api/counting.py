"""Count the calls of a user on Django's views, as the use cases count the calls on them."""

from __future__ import annotations

from collections.abc import Callable

from messaging.domain.rates import Rates
from messaging.runtime.wiring import run
from messaging.service.backends import Backends


def count(kind: Callable[[Backends], Rates], user_id: int, *, more: int = 0) -> None:
    """Count a call of this user, as one and so many `more`.

    Raises: TooManyRequests for a user who makes too many calls.
    """

    async def spend(backends: Backends) -> None:  # on the loop, to which the rates belong
        kind(backends).spend(user_id)
        kind(backends).charge(user_id, more)

    run(spend)


def count_change(user_id: int) -> None:
    """Count a change that a user makes.

    Raises: TooManyRequests for a user who makes too many changes.
    """
    count(lambda backends: backends.rates.changes, user_id)
