"""Type into a terminal client of a running site, and read its lines."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from tests.support.processes import clean_environment, wait_until
from tests.support.real_services import ROOT
from tests.support.service import User
from tests.support.site import Site

LINE_WITHIN_S = 30.0


class Terminal:
    """Run `manage.py chat` as one user, with pipes in place of a terminal."""

    def __init__(self, site: Site, user: User, name: str) -> None:
        token = user.client.token
        assert token is not None
        url = f"http://127.0.0.1:{site.service.port}"
        self._process = subprocess.Popen(
            [sys.executable, ROOT / "manage.py", "chat", name, "--url", url],
            env=clean_environment(**site.service.environment, CHAT_TOKEN=token),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.await_line("/help tells the rest")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def type(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def ask(self, line: str, answer: str) -> str:
        """Type a line, and return the first new line that has the answer (a pattern) in it."""
        seen = len(self.lines)
        self.type(line)
        return self.await_line(answer, behind=seen)

    def await_line(self, pattern: str, *, behind: int = 0) -> str:
        def find() -> Iterator[str]:
            return (line for line in self.lines[behind:] if re.search(pattern, line))

        try:
            wait_until(lambda: any(find()), limit_s=LINE_WITHIN_S, what=pattern)
        except AssertionError as error:
            raise AssertionError(f"no {pattern!r} in {self.lines[behind:]}") from error
        return next(find())

    def kill(self) -> None:
        """Kill the client, as a crash does."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                assert pipe is not None
                pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
