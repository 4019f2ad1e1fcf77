"""Test groups on two web processes: a right taken away by one is gone in the other at once."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import pytest

from tests.acceptance.quiet_process import running_quietly
from tests.simulation.group_acts import Verb
from tests.support.http_client import Answer
from tests.support.kept_connections import connections_to_two
from tests.support.processes import choose_redis_port, running_service, wait_until
from tests.support.service import User
from tests.support.site import PERSIST_TIMEOUT_S, Site

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

UNLIMITED = dict.fromkeys(("IM_CHANGE_RATE", "IM_SEND_RATE", "IM_READ_RATE", "IM_LOOKUP_RATE"), "0")
OUT, MUTED, DISSOLVED = 4002, 4004, 4007
ROUNDS, MANY_ROUNDS = 240, 1_000
KILLS, MANY_KILLS = 5, 25
WIDENED_WITHIN_S = 10.0  # by the channel of the changes; after a kill once Redis is back
SENDERS, SENDS = 50, 20
MAKE_PEOPLE = """\
import json
from bench.laps.accounts import make_pairs
from bench.laps.group_rows import insert_group
people = make_pairs("crowd", {count})
group = insert_group("crowd", [person.user_id for person in people])
print(json.dumps([group, [(person.user_id, person.token) for person in people]]))
"""


@pytest.fixture(scope="module")
def unlimited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run an embedded stack with two web processes and no rates."""
    var_dir = tmp_path_factory.mktemp("groups") / "var"
    choose_redis_port(var_dir)
    with running_service(var_dir, WEB_WORKERS="2", **UNLIMITED) as service:
        yield Site(service)


@dataclass(slots=True)
class Scene:
    """Hold a group, its owner at one process, and a member at the other."""

    site: Site
    group_id: str
    owner: User
    member: User

    def change(self, verb: str, **fields: object) -> None:
        """Change the group as its owner, and check that the change was made."""
        answer = self._change(self.owner, verb, fields)
        assert answer.status == 200, answer.content

    def leave(self) -> None:
        answer = self._change(self.member, "leave", {})
        assert answer.status == 200, answer.content

    def _change(self, user: User, verb: str, fields: Mapping[str, object]) -> Answer:
        return user.client.post(f"/api/group/{verb}", {"groupId": self.group_id} | dict(fields))

    def send(self) -> Answer:
        return self.member.send_to_group(self.group_id)

    def history(self) -> Answer:
        return self.member.group_history(self.group_id)

    def members(self) -> Answer:
        return self.member.client.get("/api/group/members", groupId=self.group_id)

    def await_right(self) -> None:
        """Use all rights of a member, as soon as the member's process knows of them."""
        for ask in (self.send, self.history, self.members):
            wait_until(partial(_is_served, ask), limit_s=WIDENED_WITHIN_S, what="a right")


def _is_served(ask: Callable[[], Answer]) -> bool:
    return ask().status == 200


@pytest.fixture
def scene(unlimited: Site) -> Iterator[Scene]:
    owner, member = unlimited.register(), unlimited.register()
    with connections_to_two(unlimited, owner, member) as (here, there):
        group_id = unlimited.make_group(owner, member)
        yield Scene(unlimited, group_id, here.of(owner), there.of(member))


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Describe how a member's right is taken away and given back, and how the member is refused."""

    take: Callable[[Scene], None]
    give_back: Callable[[Scene], None]
    code: int
    asks: Sequence[Callable[[Scene], Answer]] = (Scene.send,)


def _users(scene: Scene) -> dict[str, object]:
    return {"userIds": [scene.member.id]}


ALL = (Scene.send, Scene.history, Scene.members)
NARROWINGS = {
    "remove": Narrowing(
        lambda scene: scene.change("remove", **_users(scene)),
        lambda scene: scene.change("invite", **_users(scene)),
        OUT,
        ALL,
    ),
    "leave": Narrowing(
        Scene.leave, lambda scene: scene.change("invite", **_users(scene)), OUT, ALL
    ),
    "mute": Narrowing(
        lambda scene: scene.change("mute", userId=scene.member.id, forS=-1),
        lambda scene: scene.change("mute", userId=scene.member.id, forS=0),
        MUTED,
    ),
    "mute all": Narrowing(
        lambda scene: scene.change("update", isAllMuted=True),
        lambda scene: scene.change("update", isAllMuted=False),
        MUTED,
    ),
}


def _take_again_and_again(scene: Scene, rounds: int) -> None:
    """Take each right in turn; the very next request of the member is refused each time."""
    for number, (name, narrowing) in zip(
        range(rounds), itertools.cycle(NARROWINGS.items()), strict=False
    ):
        scene.await_right()
        narrowing.take(scene)
        ask = narrowing.asks[number // len(NARROWINGS) % len(narrowing.asks)]
        assert ask(scene).code == narrowing.code, f"{name}, round {number}"
        narrowing.give_back(scene)


class TestARightThatIsTakenAway:
    def test_is_gone_in_the_other_process(self, scene: Scene) -> None:
        _take_again_and_again(scene, ROUNDS)

    @pytest.mark.long
    def test_is_gone_in_the_other_process_many_times(self, scene: Scene) -> None:
        _take_again_and_again(scene, MANY_ROUNDS)

    @pytest.mark.parametrize("rounds", [60, pytest.param(MANY_ROUNDS, marks=pytest.mark.long)])
    def test_is_gone_though_no_process_is_told(self, scene: Scene, rounds: int) -> None:
        """Take each right in a process whose notices are lost: the guard alone tells the others."""
        with running_quietly(scene.site.service) as quiet:
            takes = itertools.cycle(
                [
                    (NARROWINGS["remove"], Verb.REMOVE, scene.owner.id, scene.member.id),
                    (NARROWINGS["mute"], Verb.MUTE, scene.owner.id, scene.member.id),
                    (NARROWINGS["mute all"], Verb.MUTE_ALL, scene.owner.id, None),
                    (NARROWINGS["leave"], Verb.LEAVE, scene.member.id, scene.member.id),
                ]
            )
            for narrowing, verb, actor_id, user_id in itertools.islice(takes, rounds):
                scene.await_right()
                quiet.change(verb, scene.group_id, actor_id, user_id)
                for ask in narrowing.asks:
                    assert ask(scene).code == narrowing.code, verb
                narrowing.give_back(scene)

    @pytest.mark.parametrize("rounds", [10, pytest.param(50, marks=pytest.mark.long)])
    def test_is_gone_with_the_group(self, scene: Scene, rounds: int) -> None:
        for _ in range(rounds):
            created = scene.owner.client.post(
                "/api/group/create", {"name": "group", "memberIds": [scene.member.id]}
            )
            assert created.status == 200, created.content
            scene.group_id = created.data["group"]["groupId"]
            scene.await_right()
            scene.change("dissolve")
            assert scene.send().code == DISSOLVED
            assert scene.history().status == 200

    @pytest.mark.parametrize("kills", [KILLS, pytest.param(MANY_KILLS, marks=pytest.mark.long)])
    def test_stays_gone_when_redis_is_killed(self, scene: Scene, kills: int) -> None:
        narrowings = itertools.cycle([NARROWINGS["remove"], NARROWINGS["mute"]])
        for narrowing in itertools.islice(narrowings, kills):
            scene.await_right()
            narrowing.take(scene)
            killed = scene.site.service.kill("redis")
            _assert_refused_by_all(scene, narrowing)
            scene.site.service.await_restart("redis", after=killed)
            _assert_refused_by_all(scene, narrowing)
            _until_done(partial(narrowing.give_back, scene))

    @pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.long)])
    def test_is_gone_at_the_answer_though_redis_was_away(self, scene: Scene, kills: int) -> None:
        for _ in range(kills):
            scene.await_right()
            killed = scene.site.service.kill("redis")
            _until_done(lambda: NARROWINGS["remove"].take(scene))
            _assert_refused_by_all(scene, NARROWINGS["remove"])
            scene.site.service.await_restart("redis", after=killed)
            _assert_refused_by_all(scene, NARROWINGS["remove"])
            _until_done(lambda: NARROWINGS["remove"].give_back(scene))


def _assert_refused_by_all(scene: Scene, narrowing: Narrowing) -> None:
    """Check that each request is refused, or put off while nobody can tell: never answered."""
    for ask in narrowing.asks:
        answer = ask(scene)
        assert answer.code == narrowing.code or answer.status == 503, answer.content


def _until_done(act: Callable[[], None]) -> None:
    """Repeat an act until it is done: a call may be answered 503 while Redis is away."""

    def is_done() -> bool:
        try:
            act()
        except AssertionError:
            return False
        return True

    wait_until(is_done, limit_s=WIDENED_WITHIN_S, what="the change")


def test_the_messages_of_many_senders_have_one_order(unlimited: Site) -> None:
    printed = unlimited.manage(
        "shell", "--verbosity", "0", "--command", MAKE_PEOPLE.format(count=SENDERS)
    )
    (made,) = (line for line in printed.splitlines() if line.startswith("["))
    group_id, people = json.loads(made)
    users = [
        User(str(user_id), replace(unlimited.anybody, token=token)) for user_id, token in people
    ]

    def send_all(user: User) -> list[str]:
        answers = [user.send_to_group(str(group_id), f"{user.id} {n}") for n in range(SENDS)]
        assert {answer.status for answer in answers} == {200}, answers[0].content
        return [answer.data["messageId"] for answer in answers]

    with ThreadPoolExecutor(SENDERS) as threads:
        sent = list(threads.map(send_all, users))
    wait_until(
        lambda: all(seq is not None for _, seq in _whole_history(users[0], str(group_id))),
        limit_s=PERSIST_TIMEOUT_S,
        what="all are stored",
    )
    first, *others = [_whole_history(user, str(group_id)) for user in users]
    assert all(other == first for other in others)
    ids = [int(message_id) for message_id, _ in first]
    assert ids == sorted(ids, reverse=True)
    assert set(ids) == {int(message_id) for each in sent for message_id in each}
    assert sorted(seq for _, seq in first) == list(range(1, SENDERS * SENDS + 1))
    for each in sent:
        assert each == sorted(each, key=int)


def _whole_history(user: User, group_id: str) -> list[tuple[str, int]]:
    """Return the ids and numbers of all messages of a group, newest first."""
    found: list[tuple[str, int]] = []
    before: dict[str, object] = {}
    while True:
        page = user.group_history(group_id, size=100, **before).data
        found += [(message["messageId"], message["seq"]) for message in page["list"]]
        if not page["hasMore"]:
            return found
        before = {"beforeId": page["nextBeforeId"]}
