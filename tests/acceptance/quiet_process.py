"""Change groups in a process of its own, whose notices of the changes reach no other process.

  python -m tests.acceptance.quiet_process

reads acts from its input, one JSON list a line (verb, group, who acts, user or null), and prints a
line when an act is done. So a test sees that no right depends on the notices.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import django

from messaging.domain.changes import Change
from messaging.service.backends import Backends
from tests.simulation.group_acts import GroupAct, Verb
from tests.simulation.group_verbs import call_of
from tests.support.processes import ServiceProcesses, clean_environment
from tests.support.real_services import ROOT

UseCase = Callable[[Backends], Awaitable[bool]]
DONE = "done"
END_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class QuietProcess:
    process: subprocess.Popen[str]

    def change(self, verb: Verb, group_id: str, actor_id: str, user_id: str | None) -> None:
        """Return when the act is done."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        user = None if user_id is None else int(user_id)
        act = [verb.value, int(group_id), int(actor_id), user]
        self.process.stdin.write(json.dumps(act) + "\n")
        self.process.stdin.flush()
        told = next((line for line in self.process.stdout if line.strip() == DONE), None)
        assert told is not None, "the process has ended"


@contextlib.contextmanager
def running_quietly(service: ServiceProcesses) -> Iterator[QuietProcess]:
    """Run such a process beside a service."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.acceptance.quiet_process"],
        cwd=ROOT,
        env=clean_environment(**service.environment, DJANGO_SETTINGS_MODULE="imsite.settings"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield QuietProcess(process)
        process.communicate(timeout=END_TIMEOUT_S)
    finally:
        process.kill()
        process.wait()


def _quietly(use_case: UseCase) -> UseCase:
    return lambda backends: use_case(replace(backends, publish=_tell_nobody))


async def _tell_nobody(_changes: Sequence[Change]) -> None:
    pass


def main() -> None:
    django.setup()
    from messaging.runtime import wiring

    for line in sys.stdin:
        verb, group_id, actor, user = json.loads(line)
        assert wiring.run(_quietly(call_of(GroupAct(Verb(verb), actor, user, 0), group_id)))
        print(DONE, flush=True)
    wiring.reset()


if __name__ == "__main__":
    main()
