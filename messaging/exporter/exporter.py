"""Join the parts of the exporter: gather, ask and sample in the background, answer over HTTP."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from urllib.parse import parse_qs

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from messaging.domain.ids import wall_clock_ms
from messaging.exporter.asking import Asking
from messaging.exporter.gathering import Gatherer
from messaging.exporter.page import Page, View
from messaging.exporter.samples import EVERY_S, Samples
from messaging.exporter.serving import Answer, Routes

GATHER_EVERY_S = 1.0
WORKS_WITHIN_S = 10.0  # a round of the background that is so late does not work


class Exporter:
    """Answer requests from what was gathered and asked last; no request waits for a backend.

    The gatherer is open, and the object belongs to one event loop, but for `routes`.
    """

    def __init__(self, gatherer: Gatherer, asking: Asking) -> None:
        self._gatherer = gatherer
        self._asking = asking
        self._gathered = gatherer.look()
        self._gathered_s = time.monotonic()
        self._samples = Samples()
        self._page = Page(self.view)

    def view(self) -> View:
        """Return all that is known now; any thread may call this method."""
        return View(self._gathered, self._asking.answers())

    async def run(self) -> None:
        """Gather, ask and sample until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._asking.run())
            tasks.create_task(self._keep_gathering())
            tasks.create_task(self._keep_sampling())

    def routes(self) -> Routes:
        """Return the answers by their paths, for the threads of a server."""
        return {
            "/metrics": lambda _: Answer(self._page.text(), CONTENT_TYPE_PLAIN_0_0_4),
            "/samples.json": self._newer_samples,
            "/health": lambda _: self._health(),
        }

    async def _keep_gathering(self) -> None:
        while True:
            await asyncio.sleep(GATHER_EVERY_S)
            # In a thread: a stalled disk may hold up neither the questions nor the samples.
            self._gathered = await asyncio.to_thread(self._gatherer.look)
            self._gathered_s = time.monotonic()

    async def _keep_sampling(self) -> None:
        while True:
            self._samples.add(self.view(), now_ms=wall_clock_ms(), monotonic_s=time.monotonic())
            await asyncio.sleep(EVERY_S)

    def _newer_samples(self, query: str) -> Answer:
        given = parse_qs(query).get("after", ["0"])[-1]
        if not (given.isascii() and given.isdigit() and len(given) <= 16):
            text = b"after is a time in milliseconds since 1970, as in /samples.json?after=0\n"
            return Answer(text, status=HTTPStatus.BAD_REQUEST)
        return Answer(self._samples.after(int(given)), "application/json")

    def _health(self) -> Answer:
        """Tell whether the background works; the state of the backends is no part of the answer."""
        late_s = time.monotonic() - self._gathered_s
        if late_s > WORKS_WITHIN_S:
            text = f"nothing was gathered for {late_s:.0f} s; is the disk stalled?\n"
            return Answer(text.encode(), status=HTTPStatus.SERVICE_UNAVAILABLE)
        return Answer(b"ok\n")
