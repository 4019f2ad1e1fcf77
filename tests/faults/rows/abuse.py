"""Run an abusive client beside the ordinary load: nobody else may notice it."""

from __future__ import annotations

import subprocess
import sys
from random import Random

from tests.faults.rig import Rig
from tests.faults.rows.fault import Fault, Strike, Unmet
from tests.support.processes import clean_environment
from tests.support.real_services import ROOT
from tests.support.site import Site

HOLD_S = 5.0
END_S = 60.0
MESSAGES, CHARACTERS, AT_ONCE = 1_000, 4_096, 100  # of four bytes each
FILL = """\
from messaging.domain.message import ChatType, Message, MsgType
from messaging.domain.ids import conversation_id
from messaging.runtime.wiring import run
pair = {{"chat_type": ChatType.PRIVATE, "from_user_id": {one}, "to_id": {other}}}
name = conversation_id(chat_type=ChatType.PRIVATE, user_id={one}, target_id={other})
for first in range(0, {count}, {at_once}):
    messages = [
        Message(id={one} * {count} + first + n, conversation_id=name, msg_type=MsgType.TEXT,
                content=chr(0x1F600) * {characters}, url=None, at_user_ids=(), client_msg_id=None,
                body_hash="0" * 32, send_time=1, **pair)
        for n in range({at_once})
    ]
    run(lambda backends: backends.store.apply(messages))
"""
"""Fill a conversation with too many and too large messages for one page, in `manage.py shell`."""


def abused_by(*kinds: str) -> Strike:
    """Return a strike that runs an abuser of these kinds while the load goes on."""

    def strike(rig: Rig, hold_s: float, random: Random) -> None:
        cast = rig.take_cast()
        one, other = sorted(cast.tokens)[:2]
        if {"pages", "unread"} & set(kinds):
            _fill(rig, one, other)
        rig.note("memory before", rig.web_memory_bytes())
        rig.note("abuse")
        command = [sys.executable, "-m", "tests.faults.abuse", *kinds, "--other", str(other)]
        command += ["--base-url", rig.service.base_url, "--seconds", str(hold_s)]
        ended = subprocess.run(
            command,
            input=cast.tokens[one],
            cwd=ROOT,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=hold_s + END_S,
            check=False,
        )
        if ended.returncode != 0:
            raise Unmet(f"the abuser ended with {ended.stderr[-500:]}")

    return strike


def _fill(rig: Rig, one: int, other: int) -> None:
    script = FILL.format(
        one=one, other=other, count=MESSAGES, at_once=AT_ONCE, characters=CHARACTERS
    )
    Site(rig.service).manage("shell", "--verbosity", "0", "--command", script)


def _row(name: str, about: str, *kinds: str) -> Fault:
    return Fault(
        name=f"abuse-{name}", about=about, strike=abused_by(*kinds), hold_s=HOLD_S, is_abuse=True
    )


FAULTS = (
    _row("bodies", "bodies that are large, deep or slow to decode", "bodies"),
    _row("logins", "guessed passwords, 64 logins at once", "logins"),
    _row("tokens", "wrong tokens, and many spellings of a right one", "tokens"),
    _row("pages", "deep pages of large messages, and 50 that nobody reads", "pages", "unread"),
    _row("strangers", "sends to users that do not exist", "strangers"),
)
