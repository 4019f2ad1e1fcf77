"""Test two terminals: a group, its rights, and a client that comes back after 1,000 messages."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.acceptance.terminal import Terminal
from tests.support.processes import choose_redis_port, running_service, wait_until
from tests.support.service import User
from tests.support.site import PASSWORD, PERSIST_TIMEOUT_S, Site

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

UNLIMITED = dict.fromkeys(("IM_CHANGE_RATE", "IM_SEND_RATE", "IM_READ_RATE", "IM_LOOKUP_RATE"), "0")
AWAY = 1_000  # messages that come while a terminal is killed
SHOWN = 20  # of an opened conversation


@pytest.fixture(scope="module")
def unlimited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    var_dir = tmp_path_factory.mktemp("terminals") / "var"
    choose_redis_port(var_dir)
    with running_service(var_dir, WEB_WORKERS="2", **UNLIMITED) as service:
        yield Site(service)


@pytest.fixture
def people(unlimited: Site) -> tuple[User, User]:
    return _registered(unlimited, "alice"), _registered(unlimited, "bob")


def _registered(site: Site, name: str) -> User:
    credentials = {"username": f"{name}-{secrets.token_hex(4)}", "password": PASSWORD}
    data = site.anybody.post("/api/user/register", credentials).data
    client = replace(site.anybody, token=data["token"])
    return User(data["userId"], client, credentials["username"])


def test_a_group_is_made_talked_in_muted_and_left(
    unlimited: Site, people: tuple[User, User]
) -> None:
    alice, bob = people
    with (
        Terminal(unlimited, alice, alice.name) as hers,
        Terminal(unlimited, bob, bob.name) as his,
    ):
        hers.ask(f"/group Club {bob.name}", "Club")
        his.await_line("Club")
        his.type("/list")
        his.ask("/open 1", "Club")
        hers.type("Welcome")
        his.await_line(f"{alice.name}: Welcome")
        his.type("Thank you")
        hers.await_line(f"{bob.name}: Thank you")

        hers.ask(f"/mute {bob.name}", "muted")
        his.ask("May I?", "You are muted in this group")
        hers.ask(f"/mute {bob.name} 0", "unmuted")
        his.type("At last")
        hers.await_line(f"{bob.name}: At last")

        hers.ask(f"/remove {bob.name}", "removed")
        his.await_line("no longer in this conversation")
        his.ask("Hello?", "open a conversation first")
        wait_until(
            lambda: bob.client.post("/api/sync", {}).data["conversations"] == [],
            limit_s=PERSIST_TIMEOUT_S,
            what="the group is gone",
        )
        assert not any("May I?" in line or "Hello?" in line for line in hers.lines)


def test_a_killed_terminal_comes_back_to_the_right_list(
    unlimited: Site, people: tuple[User, User]
) -> None:
    alice, bob = people
    with Terminal(unlimited, bob, bob.name) as his:
        alice.sent(bob, "before")
        his.await_line(alice.name)
        his.type("/list")
        his.ask("/open 1", "before")
        his.type("/read")
    with Terminal(unlimited, alice, alice.name) as hers:
        hers.await_line("before")
        for number in range(AWAY):
            alice.sent(bob, f"news {number:04}")
        conversation = _await_stored(alice, bob, 1 + AWAY)

        with Terminal(unlimited, bob, bob.name) as his:
            line = next(each for each in his.lines if each.startswith("  1"))
            assert re.search(rf"{re.escape(alice.name)} +999\+", line), his.lines
            assert f"news {AWAY - 1:04}" in line
            his.ask("/open 1", f"news {AWAY - 1:04}")
            shown = re.findall(rf"{alice.name}: news (\d+)", "\n".join(his.lines))
            assert shown[-SHOWN:] == [f"{n:04}" for n in range(AWAY - SHOWN, AWAY)]
            his.type("/read")
            wait_until(
                lambda: _unread(bob, conversation) == 0, limit_s=PERSIST_TIMEOUT_S, what="all read"
            )
            hers.type("/list")
            hers.ask("/open 1", rf"news {AWAY - 1:04} ✓✓ read")
    assert _missing(bob, conversation) == []


def _await_stored(alice: User, bob: User, count: int) -> str:
    def last_seq() -> int:
        found = alice.client.get("/api/conversation", targetId=bob.id, chatType=1)
        return int(found.data["lastSeq"])

    wait_until(lambda: last_seq() == count, limit_s=120, what=f"{count} are stored")
    low, high = sorted((int(alice.id), int(bob.id)))
    return f"{low}_{high}"


def _unread(user: User, conversation: str) -> int:
    listed = user.client.get("/api/conversation/list", size=100).data["list"]
    return next(int(each["unread"]) for each in listed if each["conversationId"] == conversation)


def _missing(user: User, conversation: str) -> list[int]:
    """Return the numbers that a first sync and its gap do not have, in order."""
    told = user.client.post("/api/sync", {}).data["conversations"]
    (of,) = [each for each in told if each["conversationId"] == conversation]
    seqs = [message["seq"] for message in of["messages"]]
    first, last = of["gap"]
    query = {"conversationId": conversation, "toSeq": last, "size": 100}
    found: list[int] = []
    while first is not None:
        page = user.client.get("/api/conversation/messages", fromSeq=first, **query).data
        found += [message["seq"] for message in page["list"]]
        first = page["nextFromSeq"]
    assert found + seqs == sorted(found + seqs)
    return sorted(set(range(1, of["covers"][1] + 1)).difference(found, seqs))
