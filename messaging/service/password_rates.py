"""Count logins and registrations before a password is hashed, and refuse those past their rate.

Redis counts for all processes; while Redis is away, each process counts for itself. A name that
exists is counted like any other name, so that a count does not reveal which names exist.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.errors import TooManyRequests
from messaging.domain.names import fold
from messaging.domain.rates import Rates, take_all
from messaging.limits import MAX_LOGIN_NAME_CHARACTERS
from messaging.ports.cached import SharedRate
from messaging.service.backends import Backends

DIGEST_BYTES = 12

Share = tuple[str, Rates, str]  # the kind of a rate, the rate, and the counted key


async def count_login(backends: Backends, *, name: str, address: str | None) -> None:
    """Count one login attempt for a name; `address` is None where no client is connected.

    Raises: TooManyRequests past the rate of the address, of the name, or of the name from this
    address. Leaves: nothing counted.
    """
    rates, person = backends.password_rates, _normalised(name)
    shares: list[Share] = [("login-name", rates.names, _digest(person))]
    if address is not None:
        pair = _digest(f"{address} {person}")
        shares.append(("login-pair", rates.pairs, pair))
        shares.append(("login-address", rates.addresses, _digest(address)))
    await _count(backends, shares)


async def count_registration(backends: Backends, *, address: str) -> None:
    """Count the registration of a user from an address.

    Raises: TooManyRequests past the address's rate. Leaves: nothing counted.
    """
    await _count(backends, [("register", backends.password_rates.registrations, _digest(address))])


async def _count(backends: Backends, shares: Sequence[Share]) -> None:
    shared = [SharedRate(kind, key, rates.rate, rates.burst) for kind, rates, key in shares]
    try:
        wait_s = await backends.cache.take_rates(shared)
    except CacheUnavailable:
        wait_s = take_all([(rates, key) for _, rates, key in shares])
    if wait_s:
        raise TooManyRequests(wait_s)


def _normalised(name: str) -> str:
    """Return the folded name, which all spellings of a name share.

    A name that is too long for any user stays as it is.
    """
    return name if len(name) > MAX_LOGIN_NAME_CHARACTERS else fold(name)


def _digest(text: str) -> str:
    encoded = text.encode(errors="surrogatepass")
    return hashlib.blake2s(encoded, digest_size=DIGEST_BYTES).hexdigest()
