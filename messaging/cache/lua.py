"""Load the Lua scripts of this package by name; the adapters do so at import.

The text of a script is the constants of `keys` and of the cache's ports, then the parts that the
script uses, then the script's own file. Parts hold functions alone:

- `rows`: arguments that come in rows.
- `incarnation`: starts of Redis, and the copies that a restart hides; `state`: a message's text.
- `tail`: a conversation's list with its loaded mark; `deletes`: a user's deletes with their floor.
- `reading`: the newest listed messages that a reader has not deleted.
- `pending`: pending marks and their bytes; `records`: idempotency records; `rates`: rates.
- `heads`: the last numbers of conversations, and which copies of lists count.
- `newest`: the newest listed messages of a conversation.
- `guard`: doubts about users' rights in a group, and the floors of joins.

A script changes several keys in one atomic step, so
all keys must be in one Redis: one primary, with replicas and Sentinel if wanted. In a Redis Cluster
the keys would have to share a slot.

KEYS has a script's fixed keys. A key of a message, a conversation or a sender is composed in the
script from its prefix and the argument that names it, such as `DETAIL .. id`. Redis needs a key in
KEYS only to find the right node of a cluster.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from messaging.cache import keys
from messaging.ports import cache, cache_service, listings

DIRECTORY = Path(__file__).parent / "scripts"
CONSTANTS = {
    name: value
    for module in (keys, cache, cache_service, listings)
    for name, value in vars(module).items()
    if name.isupper()
}


@dataclass(frozen=True, slots=True)
class Script:
    """Hold a script's whole text, and the SHA-1 digest by which Redis identifies the script."""

    text: str
    sha: str


def load(name: str, *, uses: tuple[str, ...] = ()) -> Script:
    """Return the script `scripts/{name}.lua`, preceded by parts of `scripts/parts/`, in order."""
    files = [DIRECTORY / "parts" / f"{part}.lua" for part in uses] + [DIRECTORY / f"{name}.lua"]
    constants = [f"local {each} = {_literal(value)}" for each, value in CONSTANTS.items()]
    text = "\n".join([*constants, *(file.read_text(encoding="utf-8") for file in files)])
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _literal(value: str | int) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)
