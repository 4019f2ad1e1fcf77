"""Loads the Lua scripts of this package by name. Called at import by the adapters.

A script is sent as the constants of `keys`, then the parts that it uses, then its own file. Parts
hold functions alone. A script of several keys changes them in one atomic step, so all of them must
be in one Redis: one primary, with replicas and Sentinel if wanted. In a Redis Cluster the keys
would have to share a slot.
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
    "CLAIM_TTL_S",
    "FILL_TTL_S",
    "TAIL_REFRESH_S",
    "TAIL_CAP",
    "RECOVERS_S",
    "SILENT_S",
    "MOST_LOOKED_AT",
    "EMPTY_TAIL",
    "UNSETTLED",
    "DETAIL",
)


@dataclass(frozen=True, slots=True)
class Script:
    """A script's whole text and the digest by which Redis knows it."""

    text: str
    sha: str


def load(name: str, *, uses: tuple[str, ...] = ()) -> Script:
    """The script in `scripts/{name}.lua`, with the parts that it uses before it, in their order."""
    constants = [f"local {constant} = {_literal(constant)}" for constant in CONSTANTS]
    files = [(DIRECTORY / f"{each}.lua").read_text(encoding="utf-8") for each in (*uses, name)]
    text = "\n".join([*constants, *files])
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _literal(constant: str) -> str:
    value = getattr(keys, constant)
    return f"'{value}'" if isinstance(value, str) else str(value)
