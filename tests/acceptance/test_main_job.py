"""Test the main job on the real processes: on the embedded stack, and on the full one."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from messaging.domain.events import encode_event
from messaging.ports.log import OutgoingRecord
from tests.support.http_client import Answer
from tests.support.messages import make_message
from tests.support.processes import wait_until
from tests.support.service import User, listed
from tests.support.site import PASSWORD, Site

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]

CANARY = "canary-2d9c41"


def node_of(message_id: str) -> int:
    """Return the worker id in a message id, which names the process that took the message."""
    return int(message_id) >> 12 & 1023


def refused(answer: Answer, status: int, code: int) -> bool:
    assert (answer.status, answer.code) == (status, code), answer.content
    return True


class TestAMessage:
    def test_is_acknowledged_and_then_stored(self, site: Site, alice: User, bob: User) -> None:
        answer = alice.send(bob, "hello", clientMsgId=secrets.token_hex(8))
        assert (answer.status, answer.data["persistStatus"]) == (200, "PENDING")
        assert answer.data["durability"] in ("log", "cache")
        message_id = answer.data["messageId"]
        assert listed(bob.history(alice)) == [message_id]
        site.await_stored(bob, message_id)
        (message,) = bob.history(alice).data["list"]
        assert (message["content"], message["seq"], message["status"]) == ("hello", 1, "NORMAL")
        assert message == bob.read(message_id).data

    def test_is_confirmed_by_the_log(self, alice: User, bob: User) -> None:
        answers = [alice.send(bob) for _ in range(30)]
        assert "log" in [answer.data["durability"] for answer in answers]

    def test_waits_for_the_database_where_its_sender_asks_for_it(
        self, alice: User, bob: User
    ) -> None:
        answer = alice.send(bob, ack="store")
        assert (answer.data["durability"], answer.data["persistStatus"]) == ("store", "PERSISTED")

    def test_to_a_group_is_acknowledged_and_then_stored(
        self, site: Site, alice: User, bob: User
    ) -> None:
        group_id = site.make_group(alice, bob)
        answer = alice.send_to_group(group_id, "to all", clientMsgId=secrets.token_hex(8))
        assert (answer.status, answer.data["persistStatus"]) == (200, "PENDING")
        assert answer.data["durability"] in ("log", "cache")
        site.await_stored(bob, answer.data["messageId"])
        (message,) = bob.group_history(group_id).data["list"]
        assert (message["content"], message["seq"], message["status"]) == ("to all", 1, "NORMAL")

    def test_to_a_group_in_sync_mode_is_stored_at_once(
        self, site: Site, alice: User, bob: User
    ) -> None:
        group_id = site.make_group(alice, bob, mode="sync")
        answer = alice.send_to_group(group_id, "to all")
        assert (answer.data["durability"], answer.data["persistStatus"]) == ("store", "PERSISTED")
        (message,) = bob.group_history(group_id).data["list"]
        assert (message["content"], message["seq"]) == ("to all", 1)
        assert refused(site.register().group_history(group_id), 403, 4002)

    def test_that_is_sent_again_is_one_message_whichever_process_takes_it(
        self, site: Site, alice: User, bob: User
    ) -> None:
        key = secrets.token_hex(8)
        with ThreadPoolExecutor(16) as threads:
            others = list(threads.map(lambda _: alice.sent(bob), range(64)))
            repeats = list(threads.map(lambda _: alice.send(bob, clientMsgId=key), range(64)))
        assert len({node_of(message_id) for message_id in others}) > 1, "one process took all"
        assert len({answer.data["messageId"] for answer in repeats}) == 1
        assert refused(alice.send(bob, "something else", clientMsgId=key), 422, 3006)
        sent = {*others, repeats[0].data["messageId"]}
        site.await_stored(bob, *sent)
        page = bob.history(alice, size=100)
        assert listed(page) == sorted(sent, key=int, reverse=True)
        assert sorted(m["seq"] for m in page.data["list"]) == list(range(1, 66))


class TestTakenBack:
    def test_is_a_message_for_everybody(self, site: Site, alice: User, bob: User) -> None:
        kept, secret = alice.sent(bob, "kept"), alice.sent(bob, "secret")
        site.await_stored(bob, kept, secret)
        assert refused(bob.recall(secret), 403, 3005)
        recall_time = alice.recall(secret).data["recallTime"]
        assert refused(alice.recall(secret), 409, 3003)
        for reader, other in ((alice, bob), (bob, alice)):
            page = reader.history(other)
            assert b"secret" not in page.content
            assert listed(page) == [secret, kept]
            assert page.data["list"][0]["recallTime"] == recall_time

    def test_is_a_message_for_the_one_who_deletes_it(
        self, site: Site, alice: User, bob: User
    ) -> None:
        kept, hidden = alice.sent(bob), alice.sent(bob)
        site.await_stored(bob, kept, hidden)
        assert bob.delete(hidden).status == 200
        assert listed(bob.history(alice)) == [kept]
        assert listed(alice.history(bob)) == [hidden, kept]


def test_everything_works_on_messages_that_are_not_stored_yet(
    site: Site, alice: User, bob: User
) -> None:
    with site.without("consumer"):
        answer = alice.send(bob, "kept", ack="store")
        assert answer.data["persistStatus"] == "PENDING"
        assert answer.data["durability"] in ("log", "cache")  # cache: the log was slow
        kept = answer.data["messageId"]
        secret, hidden = alice.sent(bob, "secret"), alice.sent(bob, "hidden")
        assert alice.recall(secret).status == bob.delete(hidden).status == 200
        for message in alice.history(bob).data["list"]:
            stored = message["status"] == "RECALLED"  # the tombstone is
            told = (message["persistStatus"], message["seq"])
            assert told == (("PERSISTED", 1) if stored else ("PENDING", None))
        check_kept_secret_hidden(alice, bob, kept, secret, hidden)
    site.await_stored(alice, kept, secret, hidden)
    check_kept_secret_hidden(alice, bob, kept, secret, hidden)
    assert {message["seq"] for message in alice.history(bob).data["list"]} == {1, 2, 3}


def check_kept_secret_hidden(alice: User, bob: User, kept: str, secret: str, hidden: str) -> None:
    by_alice, by_bob = alice.history(bob), bob.history(alice)
    assert listed(by_alice) == [hidden, secret, kept]
    assert listed(by_bob) == [secret, kept]
    assert [m["content"] for m in by_alice.data["list"]] == ["hidden", "", "kept"]
    assert b"secret" not in by_alice.content + by_bob.content + bob.read(secret).content
    assert refused(bob.read(hidden), 404, 3002)


def test_people_come_in_by_name_and_password(site: Site) -> None:
    credentials = {"username": f"user-{secrets.token_hex(8)}", "password": PASSWORD}
    registered = site.anybody.post("/api/user/register", credentials)
    assert refused(site.anybody.post("/api/user/register", credentials), 409, 1001)
    wrong = credentials | {"password": "wrong"}
    assert refused(site.anybody.post("/api/user/login", wrong), 401, 1003)
    tokens = site.anybody.post("/api/user/login", credentials).data
    assert tokens["userId"] == registered.data["userId"]
    refreshed = site.anybody.post("/api/token/refresh/", {"refresh": tokens["refresh"]}).data
    for token in (registered.data["token"], tokens["token"], refreshed["access"]):
        me = User(tokens["userId"], replace(site.anybody, token=token))
        assert me.send(me, "a note").status == 200
    assert refused(replace(site.anybody, token="bad").get("/api/message/1"), 401, 1004)
    assert refused(site.anybody.get("/api/message/1"), 401, 401)


def test_operators_find_their_door(site: Site) -> None:
    page = site.page("/admin/login/")
    assert page.status == 200
    assert b'name="password"' in page.content
    assert site.page("/static/admin/css/base.css").status == 200


def test_nothing_that_people_say_or_hold_is_written_into_the_log(
    site: Site, alice: User, bob: User
) -> None:
    fields: dict[str, Any] = {"url": f"/{CANARY}.png", "clientMsgId": CANARY, "msgType": 2}
    sent = alice.sent(bob, f"caption {CANARY}", **fields)
    assert alice.recall(alice.sent(bob, CANARY)).status == 200
    password = {"username": f"user-{secrets.token_hex(8)}", "password": CANARY}
    tokens = site.anybody.post("/api/user/register", password).data
    refusals = [
        site.anybody.post("/api/user/login", {"username": "nobody", "password": CANARY}),
        site.anybody.post("/api/user/register", {"username": CANARY * 9, "password": CANARY}),
        site.anybody.post("/api/token/refresh/", {"refresh": CANARY}),
        replace(site.anybody, token=CANARY).get("/api/message/1"),
        alice.client.post("/api/message/send", content=f'{{"content": "{CANARY}'.encode()),
        alice.client.post("/api/message/send", content=CANARY.encode() * 30_000),
        alice.send(replace(bob, id=CANARY), CANARY),
        alice.send(bob, f"other {CANARY}", **fields),
        alice.client.get("/api/message/history", targetId=CANARY, chatType=1),
        alice.client.get(f"/api/message/{CANARY}"),
        alice.client.get(f"/api/{CANARY}"),
    ]
    assert [answer.status for answer in refusals] == [
        *(401, 400, 401, 401, 400, 413, 400, 422, 400, 400, 404)
    ]
    too_long = make_message(1, content=f"{CANARY} " * 500)
    for value in (CANARY.encode(), encode_event(too_long)):
        site.append(OutgoingRecord(b"1_2", value))
    site.await_stored(bob, sent)
    wait_until(lambda: site.log.count("dead_letter.kept") >= 2, limit_s=20, what="dead letters")
    said = site.said
    for token in (tokens["token"], tokens["refresh"], alice.client.token, bob.client.token):
        assert token not in said
    assert [line for line in said.splitlines() if CANARY in line] == []
