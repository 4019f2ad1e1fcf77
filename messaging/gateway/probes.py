"""Answer the probes of balancers and supervisors, without Django and without asking a backend.

  /health/live    200 while the event loop answers and the service is not closed: else restart it
  /health/ready   200 where this process may get requests, with the mode of the service; else 503

Only a fault of this process itself makes it not ready. A backend that is away is away for every
process: the answer stays 200 and tells the mode, because a balancer without any process would only
hide what still works.

The front door answers both addresses for anybody, whatever the `Host`, because a balancer asks by
address. No answer holds a number.
"""

from __future__ import annotations

from enum import StrEnum

from messaging.gateway.answering import Scope, Send, send_plain
from messaging.runtime import wiring
from messaging.service.readiness import away_of, may_serve, mode_now

LIVE, READY = "/health/live", "/health/ready"


class Phase(StrEnum):
    """Name the phases in the life of a front door."""

    STARTING = "starting"
    UP = "up"
    DRAINING = "draining"  # from the server's shutdown on, which begins with SIGTERM
    CLOSED = "closed"


def is_probe(scope: Scope) -> bool:
    return scope["path"] in (LIVE, READY) and scope["method"] in ("GET", "HEAD")


async def answer_probe(scope: Scope, send: Send, phase: Phase) -> None:
    """Answer a request that `is_probe` has recognised; called on the event loop of the service."""
    is_live = scope["path"] == LIVE
    status, body = _live(phase) if is_live else _ready(phase)
    await send_plain(status, body, send)


def _live(phase: Phase) -> tuple[int, dict[str, object]]:
    return (503, {"status": phase}) if phase is Phase.CLOSED else (200, {"status": "ok"})


def _ready(phase: Phase) -> tuple[int, dict[str, object]]:
    if phase is not Phase.UP:
        return 503, {"status": phase}
    backends = wiring.backends()
    if not may_serve(backends):
        return 503, {"status": "no worker id"}
    mode = mode_now(backends)
    return 200, {
        "status": mode.status,
        "away": away_of(backends),
        "sends": mode.sends,
        "reads": mode.reads,
    }
