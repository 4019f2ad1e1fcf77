"""Keep named leases in memory: the owner of each and the end (s) of its term."""

from __future__ import annotations

Leases = dict[str, tuple[str, float]]
Used = dict[int, tuple[int, str]]  # by node: the last time (ms) of its ids, and their owner


def holds(leases: Leases, name: str, owner: str, *, now_s: float) -> bool:
    holder, end_s = leases.get(name, ("", 0.0))
    return holder == owner and now_s < end_s


def is_held(leases: Leases, name: str, *, now_s: float) -> bool:
    return now_s < leases.get(name, ("", 0.0))[1]


def take(leases: Leases, name: str, owner: str, *, now_s: float, ttl_s: float) -> bool:
    """Take a free lease or renew one's own; return False when another owner holds it."""
    holder, end_s = leases.get(name, (owner, 0.0))
    if holder != owner and now_s < end_s:
        return False
    leases[name] = (owner, now_s + ttl_s)
    return True


def take_worker(
    leases: Leases,
    used: Used,
    node: int,
    owner: str,
    *,
    now_s: float,
    ttl_s: float,
    now_ms: int,
    until_ms: int,
) -> int | None:
    """Lease a worker id as `MessageCache.take_worker` does."""
    used_ms, by = used.get(node, (0, owner))
    used_ms = 0 if by == owner else used_ms
    if used_ms > now_ms or not take(leases, f"worker:{node}", owner, now_s=now_s, ttl_s=ttl_s):
        return None
    used[node] = (until_ms, owner)
    return used_ms
