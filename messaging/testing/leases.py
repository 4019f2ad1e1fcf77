"""Named leases in memory: the owner of each and the end (s) of its term."""

from __future__ import annotations

Leases = dict[str, tuple[str, float]]


def holds(leases: Leases, name: str, owner: str, *, now_s: float) -> bool:
    holder, end_s = leases.get(name, ("", 0.0))
    return holder == owner and now_s < end_s


def is_held(leases: Leases, name: str, *, now_s: float) -> bool:
    return now_s < leases.get(name, ("", 0.0))[1]


def take(leases: Leases, name: str, owner: str, *, now_s: float, ttl_s: float) -> bool:
    """Take a free one or renew one's own; False when another owner holds it."""
    holder, end_s = leases.get(name, (owner, 0.0))
    if holder != owner and now_s < end_s:
        return False
    leases[name] = (owner, now_s + ttl_s)
    return True


def drop(leases: Leases, name: str, owner: str) -> None:
    if leases.get(name, ("", 0.0))[0] == owner:
        del leases[name]
