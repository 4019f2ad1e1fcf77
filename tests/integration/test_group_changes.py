"""Test changes of groups under trouble: a death before the answer, many at once, Redis away."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from messaging.service import group_changes
from tests.support.groups import act, create, done, events, group_seen_by, roles, told
from tests.support.http_client import Answer
from tests.support.real_services import running_redis
from tests.support.service import Service, User, refused, with_settings

BIG = {"change_rate": 0, "send_rate": 0, "read_rate": 0}


class ProcessDeathError(Exception):
    """End a call as the death of its process does."""


async def _die(*_: object) -> bool:
    raise ProcessDeathError


VERBS: dict[str, Callable[[User], dict[str, Any]]] = {
    "update": lambda _member: {"name": "Chess", "isAllMuted": True},
    "remove": lambda member: {"userIds": [member.id], "ban": True},
    "role": lambda member: {"userId": member.id, "role": "admin"},
    "transfer": lambda member: {"userId": member.id},
    "mute": lambda member: {"userId": member.id, "forS": 600},
    "dissolve": lambda _member: {},
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_call_that_died_before_its_answer_is_completed_by_a_repeat(
    alice: User, bob: User, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_id = create(alice, bob)
    body = VERBS[verb](bob)
    with monkeypatch.context() as patch:
        patch.setattr(group_changes, "tell", _die)
        assert act(alice, verb, group_id, **body).status == 500
    before = group_seen_by(alice, group_id), roles(alice, group_id)
    first, again = (done(alice, verb, group_id, **body) for _ in range(2))
    assert first == again
    assert (group_seen_by(alice, group_id), roles(alice, group_id)) == before
    changes = [event for event in events(alice, group_id) if event not in ("created", "invited")]
    assert len(changes) == (2 if verb == "update" else 1)


def test_a_creation_that_died_before_its_answer_is_found_by_a_repeat(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"name": "Book club", "memberIds": [bob.id], "requestId": "r"}
    with monkeypatch.context() as patch:
        patch.setattr(group_changes, "tell", _die)
        assert alice.client.post("/api/group/create", body).status == 500
    first, again = (alice.client.post("/api/group/create", body).data for _ in range(2))
    assert first == again
    assert events(bob, first["group"]["groupId"]) == ["created", "invited"]


def until_done(call: Callable[[], Answer]) -> Answer:
    """Repeat a call that the busy service refuses for the moment."""
    while (answer := call()).status == 503:
        time.sleep(0.05)
    return answer


@with_settings(**BIG)
def test_a_group_is_sound_after_many_changes_at_once(service: Service, alice: User) -> None:
    users = [service.register(f"user{n}") for n in range(8)]
    group_id = create(alice, joinMode="open")
    answers: list[Answer] = []

    def come_and_go(user: User) -> None:
        for _ in range(4):
            answers.append(until_done(lambda: act(user, "join", group_id)))
            answers.append(until_done(lambda: act(alice, "transfer", group_id, userId=user.id)))
            answers.append(until_done(lambda: act(user, "transfer", group_id, userId=alice.id)))
            answers.append(until_done(lambda: act(user, "leave", group_id)))

    threads = [threading.Thread(target=come_and_go, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    codes = {answer.code for answer in answers}
    assert codes <= {200, 1002, 4003, 4006}, codes
    members = roles(alice, group_id)
    assert list(members.values()).count("owner") == 1
    assert group_seen_by(alice, group_id)["memberCount"] == len(members)
    here = {alice.id}
    for notice in told(alice, group_id):
        if notice["event"] == "joined":
            here |= set(notice["userIds"])
        elif notice["event"] == "left":
            here -= set(notice["userIds"])
    assert here == members.keys()
    page = alice.group_history(group_id, size=100).data
    seqs = [message["seq"] for message in page["list"]]
    assert seqs == list(range(page["total"], page["total"] - len(seqs), -1))


class TestWithoutRedis:
    @pytest.fixture
    def redis_of_its_own(self, tmp_path: Path) -> Iterator[tuple[contextlib.ExitStack, str]]:
        with contextlib.ExitStack() as running:
            yield running, running.enter_context(running_redis(tmp_path))

    @pytest.fixture
    def redis_url(self, redis_of_its_own: tuple[contextlib.ExitStack, str]) -> str:
        return redis_of_its_own[1]

    def test_a_right_is_gone_when_the_answer_comes_late(
        self,
        alice: User,
        bob: User,
        carol: User,
        redis_of_its_own: tuple[contextlib.ExitStack, str],
    ) -> None:
        group_id = create(alice, bob)
        assert bob.send_to_group(group_id).status == 200
        redis_of_its_own[0].close()
        begun_s = time.monotonic()
        done(alice, "remove", group_id, userIds=[bob.id])
        assert time.monotonic() - begun_s > group_changes.FORGOTTEN_AFTER_S
        assert refused(bob.send_to_group(group_id), 403, 4002)
        assert refused(bob.group_history(group_id), 403, 4002)
        assert done(alice, "invite", group_id, userIds=[carol.id])["added"] == [carol.id]
        assert carol.group_history(group_id).data["list"][0]["notice"]["event"] == "invited"
        assert events(alice, group_id) == ["created", "invited", "removed", "invited"]
