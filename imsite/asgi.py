"""Serve as the front door: the one ASGI application that the web server runs.

The front door starts and stops the message service on the server's loop, refuses heads that are too
large, and answers for its health, to people and to the probes of balancers. The hot calls go to the
gateway (unless IM_GATEWAY is off), and all other HTTP goes to Django.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys

from django.core.management.base import BaseCommand, SystemCheckError

from imsite import wsgi  # sets Django up, which the models behind `wiring` need
from imsite.connections import end_untaken
from imsite.django_door import DjangoDoor
from messaging.api.health import health
from messaging.conf import settings
from messaging.domain.errors import InvalidInput
from messaging.domain.request_fields import FieldError
from messaging.gateway.answering import Send, send_error, send_success
from messaging.gateway.application import Gateway
from messaging.gateway.bodies import Receive
from messaging.gateway.counted import CountedAnswer
from messaging.gateway.heads import Scope, is_too_large, values_of
from messaging.gateway.probes import Phase, answer_probe, is_probe
from messaging.runtime import connections as database_connections
from messaging.runtime import wiring

HEALTH = "/api/health"
COLLECT_EVERY = 20_000  # objects made and not yet gone; Python's own number is 700
# Each thread of Django's that has work may hold up the event loop for so long. Python's own number
# is 0.005, and there are sixteen such threads.
SWITCH_EVERY_S = 0.0005
_django = DjangoDoor(wsgi.application)
_gateway: Gateway | None = None
_phase = Phase.STARTING
logger = logging.getLogger(__name__)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _live(receive, send)
    elif scope["type"] == "http":
        await _serve(scope, receive, send)
    else:  # a WebSocket, for which there is no handler
        await receive()
        await send({"type": "websocket.close"})


async def _live(receive: Receive, send: Send) -> None:
    """Start the service, wait for the server's shutdown, and stop the service.

    Settings that the system checks refuse, and a service that cannot start, fail the startup.
    """
    global _gateway, _phase
    _phase = Phase.STARTING
    await receive()
    try:
        await asyncio.to_thread(BaseCommand(no_color=True).check)
        await wiring.start(role="web")
        _django.begin(settings())
        _gateway = Gateway(wiring.backends()) if settings().gateway else None
        _phase = Phase.UP
    except SystemCheckError as refused:
        await send({"type": "lifespan.startup.failed", "message": str(refused)})
        return
    except Exception:
        logger.exception("the service cannot start", extra={"action": "front_door.start_failed"})
        await send({"type": "lifespan.startup.failed", "message": "see the log"})
        return
    logger.info(
        "database connections at most",
        extra={"action": "front_door.connections", "sum": database_connections.account()},
    )
    await send({"type": "lifespan.startup.complete"})
    ending_untaken = asyncio.create_task(end_untaken())
    _spare_the_collector()
    sys.setswitchinterval(SWITCH_EVERY_S)
    await receive()
    ending_untaken.cancel()
    _gateway, _phase = None, Phase.DRAINING
    gc.unfreeze()
    try:
        await wiring.stop()
    except Exception:
        logger.exception(
            "the service did not stop well", extra={"action": "front_door.stop_failed"}
        )
    _phase = Phase.CLOSED
    await send({"type": "lifespan.shutdown.complete"})


def _spare_the_collector() -> None:
    """Freeze the objects that stay for ever, and collect less often.

    A tenth of a send's time was spent in the garbage collector before.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY, *gc.get_threshold()[1:])


async def _serve(scope: Scope, receive: Receive, send: Send) -> None:
    if is_too_large(scope):
        too_large = InvalidInput({"request": [FieldError.REQUEST]})
        await send_error(too_large, values_of(scope, b"accept-language"), send)
    elif is_probe(scope):
        await answer_probe(scope, send, _phase)
    elif _phase is Phase.UP and scope["path"] == HEALTH and scope["method"] in ("GET", "HEAD"):
        await send_success(health(), scope, send)
    else:
        await _serve_counted(scope, receive, CountedAnswer(send))


async def _serve_counted(scope: Scope, receive: Receive, answer: CountedAnswer) -> None:
    door = "django"
    try:
        if _gateway is not None and (asked := _gateway.recognise(scope)) is not None:
            door = "gateway"
            await _gateway.serve(asked, receive, answer)
        else:
            await _django.serve(scope, receive, answer)
    finally:
        answer.count(door, scope["method"], scope["path"])
