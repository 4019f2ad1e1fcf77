"""Make keys for development on first start, and keep the keys in `var/`.

Production brings keys of its own.
"""

from __future__ import annotations

import secrets
from pathlib import Path


def development_key(path: Path) -> str:
    """Return the key kept at `path`, and make one where there is none.

    Processes that make a key at the same time agree on one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    candidate = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    if not path.exists():
        candidate.touch(mode=0o600)
        candidate.write_text(secrets.token_urlsafe(64))
        try:
            path.hardlink_to(candidate)
        except FileExistsError:
            pass
        finally:
            candidate.unlink()
    return path.read_text()
