"""Load the Lua scripts of this package by name; the adapters do so at import.

The text of a script is the constants of `keys`, then the parts that the script uses, then the
script's own file. Parts hold functions alone. A script changes several keys in one atomic step, so
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

DIRECTORY = Path(__file__).parent / "scripts"
CONSTANTS = (
    "DETAIL_TTL_S",
    "TAIL_TTL_S",
    "DELETED_TTL_S",
    "IDEMPOTENCY_TTL_S",
    "FILL_TTL_S",
    "TAIL_REFRESH_S",
    "TAIL_CAP",
    "RECOVERS_S",
    "SILENT_S",
    "MOST_IDS_READ",
    "EMPTY_TAIL",
    "DETAIL",
    "CANCEL",
    "CANCELS",
    "PENDING",
    "INCARNATION",
    "TAIL",
    "LOADED",
    "DEDUPE",
    "RATE",
)


@dataclass(frozen=True, slots=True)
class Script:
    """Hold a script's whole text, and the SHA-1 digest by which Redis identifies the script."""

    text: str
    sha: str


def load(name: str, *, uses: tuple[str, ...] = ()) -> Script:
    """Return the script `scripts/{name}.lua`, preceded by the parts in `uses`, in that order."""
    constants = [f"local {constant} = {_literal(constant)}" for constant in CONSTANTS]
    files = [(DIRECTORY / f"{each}.lua").read_text(encoding="utf-8") for each in (*uses, name)]
    text = "\n".join([*constants, *files])
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _literal(constant: str) -> str:
    value = getattr(keys, constant)
    return f"'{value}'" if isinstance(value, str) else str(value)
