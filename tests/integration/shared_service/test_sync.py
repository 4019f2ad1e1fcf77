"""Test sync and the reading of spans by HTTP alone, and the terminal client over them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from messaging.domain.sync_cursor import decode_cursor, encode_cursor
from messaging.http.sync_representation import FIELDS
from messaging.limits import MAX_BODY_BYTES, MAX_CURSOR_BYTES, MAX_SYNC_BODY_BYTES
from messaging.terminal.api import Api, Away, Refused
from messaging.terminal.chat import Chat
from messaging.terminal.commands import carry_out, list_conversations
from messaging.terminal.model import Model
from tests.support.groups import create, done
from tests.support.service import Service, User, at_both_doors, refused
from tests.support.sync_cursors import largest_cursor

pytestmark = at_both_doors()


def sync(user: User, **body: object) -> Any:
    answer = user.client.post("/api/sync", body)
    assert answer.status == 200, answer.content
    assert list(answer.data) == ["conversations", "cursor", "hasMore", "partial"]
    assert all(list(told) == list(FIELDS) for told in answer.data["conversations"])
    assert answer.data["partial"] is False
    return answer.data


def only(answer: Any) -> Any:
    (told,) = answer["conversations"]
    return told


def span(user: User, name: str, **query: object) -> Any:
    answer = user.client.get("/api/conversation/messages", conversationId=name, **query)
    assert answer.status == 200, answer.content
    assert list(answer.data) == ["list", "covers", "hasMore", "nextFromSeq"]
    return answer.data


def catch_up(user: User, model: Model, **body: object) -> None:
    while True:
        answer = sync(user, cursor=model.cursor, **body)
        model.apply(answer)
        if not answer["hasMore"]:
            break
    while model.gaps:
        name, (first, last) = model.gaps[0]
        page = span(user, name, fromSeq=first, toSeq=last, size=7)
        model.conversations[name].fill(page)


def history(user: User, other: User) -> list[Any]:
    return list(reversed(user.history(other, size=100).data["list"]))


class TestABody:
    """Send what a client of ten thousand conversations sends, and more."""

    def test_with_the_cursor_of_ten_thousand_conversations_is_taken(self, alice: User) -> None:
        own_id = int(alice.id)
        cursor = encode_cursor(largest_cursor(own_id=own_id), own_id=own_id)
        assert len(cursor) > MAX_BODY_BYTES
        given_back = sync(alice, cursor=cursor)["cursor"]
        known = decode_cursor(given_back, own_id=own_id)
        assert known.positions == largest_cursor(own_id=own_id).positions
        settled = sync(alice, cursor=given_back)["cursor"]
        assert decode_cursor(settled, own_id=own_id).positions == known.positions
        assert sync(alice, cursor=settled)["cursor"] == settled

    @pytest.mark.parametrize("is_chunked", [False, True])
    def test_of_the_largest_size_is_read(self, alice: User, is_chunked: bool) -> None:
        for size, status in ((MAX_SYNC_BODY_BYTES, 200), (MAX_SYNC_BODY_BYTES + 1, 413)):
            content = b'{"x": "' + b"x" * (size - 9) + b'"}'
            assert len(content) == size
            pieces = [content[at : at + 65_536] for at in range(0, size, 65_536)]
            answer = alice.client.call(
                "POST", "/api/sync", content=pieces if is_chunked else content
            )
            assert answer.status == status

    def test_with_a_cursor_past_its_limit_is_refused(self, alice: User) -> None:
        answer = alice.client.post("/api/sync", {"cursor": "A" * (MAX_CURSOR_BYTES + 1)})
        assert answer.wrong == {"cursor"}

    def test_of_somebody_unknown_may_have_little(self, service: Service) -> None:
        content = b'{"cursor": "' + b"A" * MAX_BODY_BYTES + b'"}'
        assert service.anybody.call("POST", "/api/sync", content=content).status == 401


class TestSync:
    def test_tells_a_first_login_the_newest(self, service: Service, alice: User, bob: User) -> None:
        ids = [alice.sent(bob, f"turn {number}") for number in range(12)]
        service.persist()
        answer = sync(bob, limit=5)
        told = only(answer)
        assert [message["messageId"] for message in told["messages"]] == ids[-5:]
        assert (told["covers"], told["gap"], told["unread"]) == ([8, 12], [1, 7], 12)
        assert (told["reset"], told["left"], told["changes"]) == (False, None, [])
        assert sync(bob, cursor=answer["cursor"])["conversations"] == []

    @pytest.mark.parametrize("order", ["newest", "oldest"])
    def test_leaves_a_client_with_the_history(
        self, service: Service, alice: User, bob: User, order: str
    ) -> None:
        ids = [alice.sent(bob, f"turn {number}") for number in range(30)]
        service.persist()
        model, late = Model(), Model()
        catch_up(bob, model, limit=4, order=order)
        alice.recall(ids[3])
        bob.delete(ids[4])
        bob.sent(alice, "pending at first")
        catch_up(bob, model, limit=4, order=order)
        service.persist()
        catch_up(bob, model, limit=4, order=order)
        catch_up(bob, late, limit=3)
        name = f"{alice.id}_{bob.id}"
        for each in (model, late):
            known = each.conversations[name]
            assert known.pending == {}
            assert known.in_order == history(bob, alice)

    def test_tells_a_position_of_its_own_for_each_conversation(
        self, service: Service, alice: User, bob: User
    ) -> None:
        alice.sent(bob)
        service.persist()
        answer = sync(bob)
        alice.sent(bob)
        service.persist()
        positions = {f"{alice.id}_{bob.id}": only(sync(bob))["position"]}
        body = {"cursor": answer["cursor"], "positions": positions}
        assert sync(bob, **body)["conversations"] == []

    def test_tells_the_sender_what_was_delivered_and_read(
        self, service: Service, alice: User, bob: User
    ) -> None:
        alice.sent(bob)
        service.persist()
        cursor = sync(alice)["cursor"]
        sync(bob, cursor=sync(bob)["cursor"])
        answer = sync(alice, cursor=cursor)
        for _ in range(50):
            if answer["conversations"]:
                break
            answer = sync(alice, cursor=cursor)
        assert only(answer)["peer"] == {"readSeq": 0, "deliveredSeq": 1}
        items = [{"conversationId": f"{alice.id}_{bob.id}", "readSeq": 1}]
        assert bob.client.post("/api/conversation/receipts", {"items": items}).status == 200
        answer = sync(alice, cursor=answer["cursor"])
        assert only(answer)["peer"] == {"readSeq": 1, "deliveredSeq": 1}
        assert sync(alice, cursor=answer["cursor"])["conversations"] == []

    def test_tells_once_that_a_user_was_removed(
        self, service: Service, alice: User, bob: User
    ) -> None:
        group_id = create(alice, bob)
        alice.send_to_group(group_id)
        service.persist()
        answer = sync(bob)
        assert only(answer)["group"]["groupId"] == group_id
        done(alice, "remove", group_id, userIds=[bob.id])
        answer = sync(bob, cursor=answer["cursor"])
        told = only(answer)
        assert (told["conversationId"], told["left"]) == (f"g{group_id}", "removed")
        assert (told["messages"], told["group"], told["position"]) == ([], None, None)
        assert sync(bob, cursor=answer["cursor"])["conversations"] == []
        assert sync(bob)["conversations"] == []
        query = {"conversationId": f"g{group_id}", "fromSeq": 1}
        assert refused(bob.client.get("/api/conversation/messages", **query), 404, 2007)

    def test_names_what_is_wrong(self, alice: User) -> None:
        body = {"cursor": "?", "positions": [], "limit": 0, "order": "both"}
        assert alice.client.post("/api/sync", body).wrong == set(body)

    def test_takes_a_cursor_of_somebody_else(
        self, service: Service, alice: User, bob: User, carol: User
    ) -> None:
        alice.sent(bob)
        service.persist()
        assert sync(carol, cursor=sync(bob)["cursor"])["conversations"] == []


class TestASpan:
    def test_comes_in_pages(self, service: Service, alice: User, bob: User) -> None:
        ids = [alice.sent(bob, f"turn {number}") for number in range(6)]
        service.persist()
        name = f"{alice.id}_{bob.id}"
        page = span(bob, name, fromSeq=2, toSeq=5, size=3)
        assert [message["messageId"] for message in page["list"]] == ids[1:4]
        assert (page["covers"], page["hasMore"], page["nextFromSeq"]) == ([2, 4], True, 5)
        page = span(bob, name, fromSeq=5, toSeq=5, size=3)
        assert (page["covers"], page["hasMore"], page["nextFromSeq"]) == ([5, 5], False, None)
        page = span(bob, name, fromSeq=7)
        assert (page["list"], page["covers"], page["nextFromSeq"]) == ([], None, None)

    def test_is_of_a_conversation_that_one_has(self, alice: User, bob: User, carol: User) -> None:
        for name in (f"{bob.id}_{carol.id}", "g999999999", f"{alice.id}_{bob.id}"):
            query = {"conversationId": name, "fromSeq": 1}
            assert refused(alice.client.get("/api/conversation/messages", **query), 404, 2007)
        assert alice.client.get("/api/conversation/messages", conversationId="x", size=0).wrong == {
            "conversationId",
            "fromSeq",
            "size",
        }


class SiteApi(Api):
    """Call the service under test in place of a server; `is_away`: nothing answers."""

    def __init__(self, user: User) -> None:
        super().__init__("http://unused")
        self.user, self.is_away = user, False

    def _call(self, method: str, path: str, body: object) -> Any:
        if self.is_away:
            raise Away("down")
        parts = urlsplit(f"/api{path}")
        answer = self.user.client.call(method, parts.path, body, query=dict(parse_qsl(parts.query)))
        if answer.status != 200:
            raise Refused(answer.code, answer.body["message"])
        return answer.data


class Terminal:
    """Hold a user's terminal, and what it has shown since it was last asked."""

    def __init__(self, user: User) -> None:
        self._lines: list[str] = []
        self.api = SiteApi(user)
        self.chat = Chat(self.api, self._lines.append)
        self.chat.begin()
        list_conversations(self.chat, [])

    def shows(self, *lines: str) -> list[str]:
        for line in lines:
            assert carry_out(self.chat, line)
        self.chat.step()
        shown, self._lines[:] = list(self._lines), []
        return shown


class TestTheTerminalClient:
    def test_chats(self, service: Service, alice: User, bob: User) -> None:
        one = Terminal(alice)
        assert "me: hello …" in " ".join(one.shows(f"/open {bob.name}", "hello"))
        service.persist()
        assert any(line.endswith("me: hello ✓") for line in one.shows())
        other = Terminal(bob)
        assert any(alice.name in line and " 1 " in line for line in other.shows())
        assert any(line.endswith(f"{alice.name}: hello") for line in other.shows("/open 1"))
        other.shows("/read", "hi yourself")
        service.persist()
        shown = one.shows()
        assert any(line.endswith("me: hello ✓✓ read") for line in shown)
        assert any(line.endswith(f"{bob.name}: hi yourself") for line in shown)

    def test_goes_on_when_the_server_is_back(
        self, service: Service, alice: User, bob: User
    ) -> None:
        terminal = Terminal(alice)
        terminal.shows(f"/open {bob.name}", "before")
        terminal.api.is_away = True
        assert any("does not answer" in line for line in terminal.shows("meanwhile"))
        assert terminal.shows() == []
        terminal.api.is_away = False
        assert any("meanwhile" in line for line in terminal.shows())
        service.persist()
        texts = [message["content"] for message in history(bob, alice)]
        assert texts == ["before", "meanwhile"]

    def test_runs_a_group(self, service: Service, alice: User, bob: User, carol: User) -> None:
        one, other = Terminal(alice), Terminal(bob)
        one.shows(f"/group friends {bob.name}", f"/invite {carol.name}", "welcome")
        service.persist()
        members = one.shows("/who")
        assert [f"{bob.name} (member)" in line for line in members].count(True) == 1
        assert any("friends" in line for line in other.shows())
        assert any("welcome" in line for line in other.shows("/list", "/open 1"))
        one.shows(f"/mute {bob.name} 60")
        assert any(line.startswith("! not sent") for line in other.shows("may I?"))
        one.shows(f"/remove {bob.name}")
        assert any("no longer" in line for line in other.shows())
        assert any(line.startswith("!") for line in one.shows("/leave"))
        assert any("/quit" in line for line in one.shows("/nonsense"))
