"""Test on two web processes that what one has cleared, no process shows again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.conversations import clear, name_of
from tests.support.http_client import Answer
from tests.support.kept_connections import connections_to_two
from tests.support.processes import choose_redis_port, running_service, wait_until
from tests.support.service import User
from tests.support.site import PERSIST_TIMEOUT_S, Site

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

UNLIMITED = dict.fromkeys(("IM_CHANGE_RATE", "IM_SEND_RATE", "IM_READ_RATE", "IM_LOOKUP_RATE"), "0")
ROUNDS, MANY_ROUNDS = 12, 200
AT_A_TIME = 7


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run an embedded stack with two web processes and no rates."""
    var_dir = tmp_path_factory.mktemp("clears") / "var"
    choose_redis_port(var_dir)
    with running_service(var_dir, WEB_WORKERS="2", **UNLIMITED) as service:
        yield Site(service)


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.content
    return [each["messageId"] for each in answer.data["list"]]


@pytest.mark.parametrize("rounds", [ROUNDS, pytest.param(MANY_ROUNDS, marks=pytest.mark.long)])
def test_the_other_process_shows_nothing_from_the_answer_on(site: Site, rounds: int) -> None:
    reader, sender = site.register(), site.register()
    with connections_to_two(site, reader, sender) as (here, there):
        group_id = site.make_group(sender, reader)
        writer, reading_there, reading_here = there.of(sender), there.of(reader), here.of(reader)
        names = {True: f"g{group_id}", False: name_of(reader, sender)}

        def say(in_group: bool) -> str:
            sent = writer.send_to_group(group_id) if in_group else writer.send(reader)
            assert sent.status == 200, sent.content
            return str(sent.data["messageId"])

        def page(user: User, in_group: bool) -> list[str]:
            return ids(user.group_history(group_id) if in_group else user.history(sender))

        site.await_stored(reader, say(in_group=False))
        for number in range(rounds):
            in_group = number % 2 == 0
            old = [say(in_group) for _ in range(AT_A_TIME)]
            assert page(reading_there, in_group)[:AT_A_TIME] == old[::-1]
            assert clear(reading_here, names[in_group]).status == 200
            assert page(reading_there, in_group) == []
            assert reading_there.read(old[-1]).code == 3002
            new = say(in_group)
            for user in (reading_here, reading_there):
                assert page(user, in_group) == [new]


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.long)])
def test_a_killed_redis_brings_nothing_back(site: Site, kills: int) -> None:
    reader, sender = site.register(), site.register()
    name = name_of(reader, sender)
    site.await_stored(reader, sender.sent(reader))
    for number in range(kills):
        sender.sent(reader)
        assert ids(reader.history(sender))
        if number % 2 == 0:
            assert clear(reader, name).status == 200
            killed = site.service.kill("redis")
        else:
            killed = site.service.kill("redis")
            wait_until(
                lambda: clear(reader, name).status == 200, limit_s=PERSIST_TIMEOUT_S, what="a clear"
            )
        assert _shown_once_served(reader, sender) == []
        site.service.await_restart("redis", after=killed)
        assert _shown_once_served(reader, sender) == []


def _shown_once_served(reader: User, sender: User) -> list[str]:
    """Return the page as soon as one is answered; while parts are away there may be none."""
    answers: list[Answer] = []

    def is_served() -> bool:
        answers.append(reader.history(sender))
        return answers[-1].status == 200

    wait_until(is_served, limit_s=PERSIST_TIMEOUT_S, what="a page")
    return ids(answers[-1])
