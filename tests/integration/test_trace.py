"""Test `manage.py trace` on a real Redis, log and database, for every life of a message."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from io import StringIO
from itertools import count
from typing import Any

import pytest
import redis
from django.core.management import CommandError, call_command
from pytest_django import Settings

from messaging.domain.events import encode_event
from messaging.domain.ids import first_id_at, under_id, wall_clock_ms
from messaging.domain.message import Message, Recall
from messaging.ports.log import OutgoingRecord
from messaging.runtime import wiring
from messaging.service.backends import Backends
from tests.integration.admin.pages import accept, consume, recall, store
from tests.support.messages import make_message
from tests.support.own_topics import with_own_topics
from tests.support.processes import clean_environment
from tests.support.proxy import Mode, Proxy
from tests.support.real_services import ROOT

NOWHERE = "127.0.0.1:1"
CANARY = "canary of the text"
NAME = "canary-of-the-name"
PATIENT_S = 60  # a busy machine is slow, and away is judged by connections that are refused
BRIEF_S = 1.0
CONNECTED_WITHIN_S = 14.0
ENDS_WITHIN_S = 100.0  # of which a busy machine takes most to start Python
NUMBERS = count(1)


@pytest.fixture(params=["streams", pytest.param("kafka", marks=pytest.mark.connected)])
def site(request: pytest.FixtureRequest, configured: None, settings: Settings) -> None:
    """Open the service with its log; on Kafka with topics of this test's own."""
    if request.param == "kafka":
        settings.IM = with_own_topics(settings.IM)
        wiring.run(connect_log)


async def connect_log(backends: Backends) -> None:
    """Wait until the log takes records: the first ones find no connection on a busy machine."""
    async with asyncio.timeout(CONNECTED_WITHIN_S):
        while not backends.log.breaker.is_closed:
            await backends.log.append(backends.settings.topic, [])
            await asyncio.sleep(0.05)


def new_message(**given: Any) -> Message:
    """Return a message of this moment, as the log's search by time demands."""
    made = make_message(0, **{"content": CANARY, "client_msg_id": NAME} | given)
    return under_id(made, first_id_at(wall_clock_ms()) + next(NUMBERS))


def append(*messages: Message) -> None:
    async def append_all(backends: Backends) -> None:
        records = [OutgoingRecord(m.conversation_id.encode(), encode_event(m)) for m in messages]
        for confirmation in await backends.log.append(backends.settings.topic, records):
            await confirmation

    wiring.run(append_all)


def sent(**given: Any) -> Message:
    """Return a message that Redis and the log have accepted."""
    message = new_message(**given)
    accept(message)
    append(message)
    return message


def persisted(**given: Any) -> Message:
    message = sent(**given)
    consume()
    return message


def run(*arguments: object, timeout_s: float = PATIENT_S) -> tuple[str, int, str]:
    """Return the command's output, its exit status and its error."""
    out, given = StringIO(), [*map(str, arguments), "--timeout", str(timeout_s)]
    try:
        call_command("trace", *given, stdout=out)
    except CommandError as error:
        return out.getvalue(), error.returncode, str(error)
    return out.getvalue(), 0, ""


def told(*arguments: object, status: int = 0) -> dict[str, Any]:
    """Return the one trace that the command tells, and check text and JSON for secrets."""
    text, text_status, text_error = run(*arguments)
    document, json_status, json_error = run(*arguments, "--json")
    assert (text_status, json_status) == (status, status), (text, text_error)
    for each in (text, document, text_error, json_error):
        assert "canary" not in each
    (trace,) = json.loads(document)
    return dict(trace)


def events(trace: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(each["event"], each["committed"]) for each in trace["log"]["events"]]


@pytest.mark.usefixtures("site")
class TestLives:
    def test_pending(self) -> None:
        message = sent()
        wiring.run(lambda backends: backends.cache.count_attempt([message]))

        trace = told(message.id)

        assert (trace["fate"], trace["certain"]) == ("pending", True)
        assert trace["conversationId"] == message.conversation_id
        assert trace["sentAt"] == message.send_time
        assert trace["redis"] == {
            "detail": "PENDING",
            "recalledAt": None,
            "recallMark": False,
            "pendingSince": message.send_time,
            "attempts": 1,
            "listed": True,
            "idempotencyRecordOf": str(message.id),
            "aliasOf": None,
        }
        assert events(trace) == [("PERSIST", False)]
        assert trace["log"]["events"][0]["partition"] == trace["partition"]
        assert abs(trace["log"]["events"][0]["appendedAt"] - message.send_time) < 60_000
        assert trace["log"]["lag"] == 1
        assert trace["database"]["row"] is None

    def test_stored(self) -> None:
        message = persisted()
        wiring.run(
            lambda backends: backends.store.delete_for_user(
                2, [message.id], message.conversation_id
            )
        )

        trace = told(message.id)

        assert (trace["fate"], trace["certain"], trace["away"]) == ("persisted", True, [])
        assert (trace["redis"]["detail"], trace["redis"]["pendingSince"]) == ("PERSISTED", None)
        assert events(trace) == [("PERSIST", True)]
        assert trace["log"]["lag"] == 0
        assert trace["database"]["row"] == {
            "seq": 1,
            "recalledAt": None,
            "persistStatus": "PERSISTED",
            "idempotencyRecordOf": str(message.id),
        }
        assert trace["database"]["deletes"] == 1

    def test_recalled(self) -> None:
        message = persisted()
        recall(message)
        append(message.under(Recall(message.send_time + 1)))
        trace = told(message.id)
        assert trace["fate"] == "persisted"
        assert (trace["redis"]["recallMark"], trace["database"]["row"]["recalledAt"]) == (
            True,
            None,
        )
        assert "the tombstone is not stored yet" in run(message.id)[0]

        consume()

        trace = told(message.id)
        assert (trace["fate"], trace["certain"]) == ("recalled", True)
        assert events(trace) == [("PERSIST", True), ("RECALL", True)]
        assert trace["database"]["row"]["recalledAt"] == message.send_time + 1
        assert trace["redis"]["recallMark"] is False

    def test_folded(self, redis_url: str) -> None:
        first = persisted()
        with redis.Redis.from_url(redis_url) as client:
            client.delete(f"msg:dedupe:1:{NAME}")
        repeat = persisted()

        trace = told(repeat.id)

        assert (trace["fate"], trace["certain"]) == ("duplicate", True)
        assert (trace["repeats"], trace["database"]["aliasOf"]) == (str(first.id), str(first.id))
        assert trace["database"]["row"] is None
        assert trace["partition"] == told(first.id)["partition"]
        assert f"the send repeats message {first.id}" in run(repeat.id)[0]

    def test_dead_lettered(self) -> None:
        message = sent(content=CANARY + "x" * 5_001)
        consume()

        trace = told(message.id)

        assert (trace["fate"], trace["certain"]) == ("dead letter", True)
        assert trace["database"]["deadLetters"] == ["OPEN"]
        assert events(trace) == [("PERSIST", True)]

    def test_under_way_when_redis_has_lost_it(self, redis_url: str) -> None:
        message = sent()
        with redis.Redis.from_url(redis_url) as client:
            client.delete(*client.keys("msg:*"))

        trace = told(message.id)

        assert (trace["fate"], trace["certain"]) == ("under way", True)
        assert trace["conversationId"] == message.conversation_id

    def test_unknown(self) -> None:
        trace = told(12_345, status=1)

        assert (trace["known"], trace["fate"], trace["certain"]) == (False, None, True)
        assert "no place knows this id" in run(12_345)[2]

    def test_lost(self) -> None:
        message = new_message()
        accept(message)
        wiring.run(lambda backends: backends.cache.dead_letter([message]))

        trace = told(message.id, status=1)

        assert (trace["known"], trace["fate"], trace["certain"]) == (True, "unaccounted", True)
        assert "manage.py audit" in run(message.id)[2]

    def test_by_clientmsgid(self, redis_url: str) -> None:
        message = persisted()
        assert told("--client-msg-id", f"1:{NAME}")["messageId"] == str(message.id)
        with redis.Redis.from_url(redis_url) as client:
            client.delete(f"msg:dedupe:1:{NAME}")

        assert told("--client-msg-id", f"1:{NAME}")["messageId"] == str(message.id)
        out, status, error = run("--client-msg-id", f"2:{NAME}")
        assert (out, status) == ("", 1)
        assert NAME not in error


def test_several_messages_of_one_clientmsgid_are_all_told(configured: None) -> None:
    ours = [new_message(), new_message(content="another body")]
    store(*ours)

    text, status, _ = run("--client-msg-id", f"1:{NAME}")

    assert status == 0
    assert [line.split()[0] for line in text.splitlines() if "sent 20" in line] == [
        str(each.id) for each in ours
    ]


def test_the_text_is_one_line_a_fact(configured: None) -> None:
    message = persisted()
    text, status, _ = run(message.id)
    head, *body = text.splitlines()

    assert status == 0
    assert head.startswith(f"{message.id}  sent ")
    assert "conversation 1_2, log partition" in head
    steps = [re.fullmatch(r"(?:[+-]\d+ ms)? *(\w+) .*", line) for line in body]
    assert [step and step[1] for step in steps] == ["accepted", "appended", "persisted", "fate"]
    assert body[-1].split() == ["fate", "persisted"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["x"], "a message id has 1 to 19 digits"),
        (["9223372036854775808"], "from 1 to"),
        (["--client-msg-id", "a-1"], "a colon and the clientMsgId"),
        (["1", "--client-msg-id", "1:a"], "not allowed with"),
        ([], "one of the arguments"),
        (["1", "--timeout", "0"], "not a number of seconds"),
    ],
)
def test_a_question_that_cannot_be_read_is_refused(arguments: list[str], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        call_command("trace", *arguments)


def away(current: Settings, *places: str) -> None:
    """Let these places refuse connections, for the traces that follow."""
    changes = {"Redis": {"redis_url": f"redis://{NOWHERE}/0"}}
    changes["log"] = {"event_log_url": f"kafka://{NOWHERE}"}
    for place in places:
        current.IM = replace(current.IM, **changes[place])


@pytest.mark.usefixtures("site")
class TestAway:
    def test_redis(self, settings: Settings) -> None:
        message = persisted()
        away(settings, "Redis")

        trace = told(message.id)

        assert (trace["away"], trace["redis"]) == (["Redis"], None)
        assert (trace["fate"], trace["certain"]) == ("persisted", True)
        assert events(trace) == [("PERSIST", True)]
        assert "Redis     away: no answer in time" in run(message.id)[0]

    def test_the_log(self, settings: Settings) -> None:
        waiting, unknown = sent(), new_message()
        away(settings, "log")

        out, status, _ = run(waiting.id, "--json", timeout_s=BRIEF_S)
        (trace,) = json.loads(out)
        assert "log" in trace["away"]
        if trace["away"] == ["log"]:  # a busy machine may take Redis or the database for away
            assert (trace["fate"], trace["certain"], status) == ("pending", True, 0)
        out, status, error = run(unknown.id, timeout_s=BRIEF_S)
        assert (status, "not clear" in out, "log" in error) == (2, True, True)

    def test_redis_and_the_log(self, settings: Settings) -> None:
        message = sent()
        away(settings, "Redis", "log")

        out, status, error = run(message.id, timeout_s=BRIEF_S)

        assert status == 2
        assert "away: Redis, log" in error.replace("database, ", "")
        assert "canary" not in out + error

    def test_a_log_that_is_silent_is_cut_off_in_time(
        self, settings: Settings, redis_url: str
    ) -> None:
        message = persisted()
        with closing(Proxy(redis_url)) as proxy:
            settings.IM = replace(
                settings.IM, redis_url=proxy.url, event_log_url=f"redis://{NOWHERE}/0"
            )
            proxy.turn(Mode.BLACK_HOLE)
            began_s = time.monotonic()

            out, _, _ = run(message.id, timeout_s=BRIEF_S)

            assert proxy.count, "Redis was not asked"
        assert time.monotonic() - began_s < ENDS_WITHIN_S
        assert "Redis     away" in out


@pytest.mark.parametrize("log", ["redis", "kafka"])
def test_a_process_without_any_place_answers(log: str) -> None:
    done = _process("647894356465213440", IM_EVENT_LOG_URL=f"{log}://{NOWHERE}")

    assert done.returncode == 2
    assert done.stdout.count("away: no answer in time") == 3
    assert "CommandError: away: Redis, database, log" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_database_the_rest_is_told(configured: None, redis_url: str) -> None:
    message = sent()

    done = _process(
        str(message.id), "--timeout", "30", IM_REDIS_URL=redis_url, IM_EVENT_LOG_URL=redis_url
    )

    assert done.returncode == 2
    assert "detail PENDING, pending mark" in done.stdout
    assert "PERSIST at partition" in done.stdout
    assert "database  away: no answer in time" in done.stdout
    assert "pending: " in done.stdout.splitlines()[-1]
    assert "not certain" in done.stdout.splitlines()[-1]
    assert "canary" not in done.stdout + done.stderr


def _process(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, whose database is away."""
    given = {
        "IM_REDIS_URL": f"redis://{NOWHERE}/0",
        "IM_DATABASE_URL": "sqlite:////nonexistent/im.sqlite3",
    } | variables
    return subprocess.run(
        [sys.executable, "manage.py", "trace", *arguments],
        cwd=ROOT,
        env=clean_environment(**given),
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN_S,
        check=False,
    )
