"""Test the contract of the calls on messages by HTTP alone, at any door."""

from __future__ import annotations

import time
from typing import Any

import pytest

from messaging.domain.ids import time_of_id
from tests.support.service import Service, User, at_both_doors, listed, refused

pytestmark = at_both_doors()

MESSAGE_FIELDS = [
    *("messageId", "conversationId", "seq", "rev", "fromUserId", "toUserId", "groupId", "chatType"),
    *("msgType", "content", "url", "atUserIds", "clientMsgId", "status", "persistStatus"),
    *("sendTime", "recallTime", "recalledBy", "notice"),
]
NOBODY = "9223372036854775807"


class TestSend:
    def test_answers_before_the_message_is_stored(self, alice: User, bob: User) -> None:
        before_ms = time.time_ns() // 1_000_000
        answer = alice.send(bob, clientMsgId="c-1")
        assert answer.status == 200
        low, high = sorted((int(alice.id), int(bob.id)))
        message_id = answer.data["messageId"]
        assert answer.data == {
            "messageId": message_id,
            "conversationId": f"{low}_{high}",
            "sendTime": time_of_id(int(message_id)),
            "persistStatus": "PENDING",
            "durability": "log",
            "clientMsgId": "c-1",
        }
        assert before_ms <= answer.data["sendTime"] <= time.time_ns() // 1_000_000

    def test_is_read_at_once_by_both_and_stored_later(
        self, service: Service, alice: User, bob: User
    ) -> None:
        message_id = alice.sent(bob, "hello", msgType=2, url="/a.png", atUserIds=[bob.id])
        pending = bob.read(message_id).data
        assert list(pending) == MESSAGE_FIELDS
        assert pending == {
            "messageId": message_id,
            "conversationId": pending["conversationId"],
            "seq": None,
            "rev": None,
            "fromUserId": alice.id,
            "toUserId": bob.id,
            "groupId": None,
            "chatType": 1,
            "msgType": 2,
            "content": "hello",
            "url": "/a.png",
            "atUserIds": [bob.id],
            "clientMsgId": None,
            "status": "NORMAL",
            "persistStatus": "PENDING",
            "sendTime": time_of_id(int(message_id)),
            "recallTime": None,
            "recalledBy": None,
            "notice": None,
        }
        assert alice.history(bob).data["list"] == bob.history(alice).data["list"] == [pending]
        service.persist()
        stored = pending | {"seq": 1, "rev": 0, "persistStatus": "PERSISTED"}
        assert bob.read(message_id).data == stored
        assert alice.history(bob).data["list"] == [stored]

    def test_to_somebody_who_does_not_exist_is_refused(self, alice: User) -> None:
        assert refused(alice.send(User(NOBODY, alice.client)), 404, 1002)

    def test_to_oneself_is_a_note(self, alice: User) -> None:
        note = alice.sent(alice, "milk")
        assert listed(alice.history(alice)) == [note]

    @pytest.mark.parametrize("ack", ["cache", "log"])
    def test_waits_for_what_the_sender_asks_for(self, alice: User, bob: User, ack: str) -> None:
        assert alice.send(bob, ack=ack).data["durability"] == ack

    def test_again_with_its_client_id_is_the_same_message(
        self, service: Service, alice: User, bob: User
    ) -> None:
        fields: dict[str, Any] = {"url": "/a", "atUserIds": [bob.id], "clientMsgId": "c-1"}
        first = alice.send(bob, "once", **fields)
        for _ in range(2):
            again = alice.send(bob, "once", **fields)
            same = ("messageId", "conversationId", "sendTime", "clientMsgId")
            assert {name: again.data[name] for name in same} == {
                name: first.data[name] for name in same
            }
            service.persist()
        assert listed(bob.history(alice)) == [first.data["messageId"]]

    def test_with_a_used_client_id_and_another_body_is_refused(
        self, alice: User, bob: User, carol: User
    ) -> None:
        fields: dict[str, Any] = {"url": "/a", "atUserIds": [bob.id], "clientMsgId": "c-1"}
        alice.sent(bob, "once", **fields)
        assert refused(alice.send(bob, "twice", **fields), 422, 3006)
        assert refused(alice.send(carol, "once", **fields), 422, 3006)
        others: list[dict[str, Any]] = [{"msgType": 2}, {"url": "/b"}, {"atUserIds": []}]
        for other in others:
            assert refused(alice.send(bob, "once", **(fields | other)), 422, 3006)

    def test_counts_case_and_sender_of_a_client_id(self, alice: User, bob: User) -> None:
        ids = {
            alice.sent(bob, clientMsgId="abc"),
            alice.sent(bob, clientMsgId="ABC"),
            alice.sent(bob, clientMsgId="abc "),
            bob.sent(alice, clientMsgId="abc"),
        }
        assert len(ids) == 4

    def test_without_a_client_id_is_always_a_new_message(self, alice: User, bob: User) -> None:
        assert alice.sent(bob) != alice.sent(bob)


class TestGroupSend:
    def test_in_sync_mode_is_stored_before_the_answer(
        self, service: Service, alice: User, bob: User
    ) -> None:
        group_id = service.make_group(alice, bob, mode="sync")
        answer = alice.send_to_group(group_id)
        assert answer.data["conversationId"] == f"g{group_id}"
        assert (answer.data["durability"], answer.data["persistStatus"]) == ("store", "PERSISTED")
        shown = bob.read(answer.data["messageId"]).data
        assert (shown["groupId"], shown["toUserId"], shown["chatType"]) == (group_id, None, 2)
        assert shown["seq"] == 1
        assert listed(bob.group_history(group_id)) == [answer.data["messageId"]]

    def test_again_with_its_client_id_is_the_same_message(
        self, service: Service, alice: User, bob: User
    ) -> None:
        group_id = service.make_group(alice, bob, mode="sync")
        first, again = (alice.send_to_group(group_id, clientMsgId="c") for _ in range(2))
        assert first.data == again.data
        assert refused(alice.send_to_group(group_id, "other", clientMsgId="c"), 422, 3006)

    def test_is_pending_and_read_at_once(self, service: Service, alice: User, bob: User) -> None:
        group_id = service.make_group(alice, bob)
        answer = alice.send_to_group(group_id)
        assert answer.data["persistStatus"] == "PENDING"
        for _ in range(2):
            assert bob.read(answer.data["messageId"]).data["groupId"] == group_id
            assert listed(bob.group_history(group_id)) == [answer.data["messageId"]]
            service.persist()

    @pytest.mark.parametrize(
        ("columns", "status", "code"),
        [({"state": "DISSOLVED"}, 409, 4007), ({"is_all_muted": True}, 403, 4004)],
        ids=["dissolved", "all muted"],
    )
    def test_is_refused_by_a_group_that_is_closed(
        self,
        service: Service,
        alice: User,
        bob: User,
        columns: dict[str, object],
        status: int,
        code: int,
    ) -> None:
        group_id = service.make_group(alice, bob, **columns)
        answer = bob.send_to_group(group_id)
        assert (answer.status, answer.code) == (status, code)
        assert listed(bob.group_history(group_id)) == []

    def test_needs_a_group(self, alice: User) -> None:
        assert refused(alice.send_to_group(NOBODY), 404, 4001)

    def test_needs_a_member(self, service: Service, alice: User, carol: User) -> None:
        assert refused(carol.send_to_group(service.make_group(alice)), 403, 4002)


class TestRecall:
    @pytest.mark.parametrize("is_stored", [False, True])
    def test_takes_the_content_from_everybody(
        self, service: Service, alice: User, bob: User, is_stored: bool
    ) -> None:
        kept = alice.sent(bob, "kept")
        message_id = alice.sent(
            bob, "secret", msgType=2, url="/secret.png", atUserIds=[bob.id], clientMsgId="c"
        )
        last = alice.sent(bob, "last")
        if is_stored:
            service.persist()
        answer = alice.recall(message_id)
        assert answer.status == 200
        recall_time = answer.data["recallTime"]
        assert answer.data == {"messageId": message_id, "recallTime": recall_time}
        assert abs(recall_time - time.time() * 1000) < 10_000
        for _ in range(2):
            for reader, other in ((alice, bob), (bob, alice)):
                shown = [reader.read(message_id), reader.history(other)]
                assert all(b"secret" not in answer.content for answer in shown)
                assert listed(shown[1]) == [last, message_id, kept]
                tombstone = shown[1].data["list"][1]
                assert tombstone == shown[0].data
                assert (tombstone["content"], tombstone["url"]) == ("", None)
                assert (tombstone["status"], tombstone["recallTime"]) == ("RECALLED", recall_time)
            service.persist()
        assert {message["seq"] for message in bob.history(alice).data["list"]} == {1, 2, 3}

    def test_may_name_the_message_by_a_number(self, alice: User, bob: User) -> None:
        assert alice.recall(int(alice.sent(bob))).status == 200

    def test_is_done_once(self, service: Service, alice: User, bob: User) -> None:
        message_id = alice.sent(bob)
        recall_time = alice.recall(message_id).data["recallTime"]
        assert refused(alice.recall(message_id), 409, 3003)
        service.persist()
        assert refused(alice.recall(message_id), 409, 3003)
        assert bob.read(message_id).data["recallTime"] == recall_time

    def test_is_for_the_sender_before_anything_else_is_said(self, alice: User, bob: User) -> None:
        message_id = alice.sent(bob)
        assert refused(bob.recall(message_id), 403, 3005)
        alice.recall(message_id)
        assert refused(bob.recall(message_id), 403, 3005)

    def test_of_a_strangers_message_is_as_of_none(
        self, alice: User, bob: User, carol: User
    ) -> None:
        strangers, none = carol.recall(alice.sent(bob)), carol.recall(NOBODY)
        assert refused(strangers, 404, 3002)
        assert refused(none, 404, 3002)
        assert strangers.body["message"] == none.body["message"]

    def test_works_on_what_the_sender_has_deleted(self, alice: User, bob: User) -> None:
        message_id = alice.sent(bob, "secret")
        assert alice.delete(message_id).status == 200
        assert alice.recall(message_id).status == 200
        assert bob.read(message_id).data["content"] == ""

    def test_in_a_group_is_for_its_sender(
        self, service: Service, alice: User, bob: User, carol: User
    ) -> None:
        group_id = service.make_group(alice, bob)
        message_id = alice.send_to_group(group_id, "secret").data["messageId"]
        assert refused(bob.recall(message_id), 403, 3005)
        assert refused(carol.recall(message_id), 404, 3002)
        assert alice.recall(message_id).status == 200
        assert b"secret" not in bob.group_history(group_id).content


class TestDelete:
    @pytest.mark.parametrize("is_stored", [False, True])
    def test_hides_the_message_from_one_alone(
        self, service: Service, alice: User, bob: User, is_stored: bool
    ) -> None:
        hidden, kept = alice.sent(bob, "hidden"), alice.sent(bob, "kept")
        if is_stored:
            service.persist()
        answer = bob.delete(hidden)
        assert (answer.status, answer.data) == (200, {"messageId": hidden})
        for _ in range(2):
            assert listed(bob.history(alice)) == [kept]
            assert refused(bob.read(hidden), 404, 3002)
            assert listed(alice.history(bob)) == [kept, hidden]
            assert alice.read(hidden).data["content"] == "hidden"
            service.persist()

    def test_may_be_posted(self, alice: User, bob: User) -> None:
        message_id = alice.sent(bob)
        answer = alice.client.post("/api/message/delete", {"messageId": int(message_id)})
        assert (answer.status, answer.data) == (200, {"messageId": message_id})
        assert listed(alice.history(bob)) == []

    def test_may_be_done_again(self, alice: User, bob: User) -> None:
        message_id = alice.sent(bob)
        assert [alice.delete(message_id).status for _ in range(2)] == [200, 200]

    def test_of_a_strangers_message_is_as_of_none(
        self, alice: User, bob: User, carol: User
    ) -> None:
        strangers, none = carol.delete(alice.sent(bob)), carol.delete(NOBODY)
        assert refused(strangers, 404, 3002)
        assert refused(none, 404, 3002)
        assert strangers.body["message"] == none.body["message"]


class TestHistory:
    def test_with_somebody_never_written_to_is_empty(self, alice: User, bob: User) -> None:
        assert alice.history(bob).data == {
            "total": 0,
            "list": [],
            "hasMore": False,
            "nextBeforeId": None,
            "partial": False,
        }
        assert listed(alice.history(User(NOBODY, alice.client))) == []

    @pytest.mark.parametrize("is_stored", [False, True])
    def test_goes_back_page_by_page_and_by_cursor(
        self, service: Service, alice: User, bob: User, is_stored: bool
    ) -> None:
        sent = [alice.sent(bob) if number % 2 else bob.sent(alice) for number in range(7)]
        if is_stored:
            service.persist()
        newest_first = sent[::-1]
        pages = [alice.history(bob, page=page, size=3) for page in (1, 2, 3, 4)]
        assert [listed(page) for page in pages] == [
            *(newest_first[:3], newest_first[3:6], newest_first[6:], [])
        ]
        assert [page.data["total"] for page in pages] == [7, 7, 7, 7]
        assert [page.data["hasMore"] for page in pages] == [True, True, False, False]
        assert [page.data["nextBeforeId"] for page in pages] == [
            *(newest_first[2], newest_first[5], None, None)
        ]
        walked: list[str] = []
        query: dict[str, object] = {}
        while query.get("beforeId", "") is not None:
            page = bob.history(alice, size=2, **query)
            walked += listed(page)
            query = {"beforeId": page.data["nextBeforeId"]}
        assert walked == newest_first

    def test_knows_exactly_whether_there_is_more(self, alice: User, bob: User) -> None:
        sent = [alice.sent(bob) for _ in range(4)]
        full = alice.history(bob, size=4)
        assert (full.data["hasMore"], full.data["nextBeforeId"]) == (False, None)
        alice.delete(sent[0])
        beyond = alice.history(bob, size=3)
        assert listed(beyond) == sent[:0:-1]
        assert (beyond.data["hasMore"], beyond.data["nextBeforeId"]) == (False, None)
        assert bob.history(alice, size=3).data["hasMore"] is True

    def test_counts_every_message_of_the_conversation(
        self, service: Service, alice: User, bob: User
    ) -> None:
        sent = [alice.sent(bob) for _ in range(3)]
        alice.recall(sent[0])
        bob.delete(sent[1])
        for _ in range(2):
            assert alice.history(bob).data["total"] == 3
            assert bob.history(alice).data["total"] == 3
            service.persist()

    def test_has_twenty_messages_unless_told_otherwise(self, alice: User, bob: User) -> None:
        for _ in range(21):
            alice.sent(bob)
        assert len(listed(alice.history(bob))) == 20
        assert len(listed(alice.history(bob, size=100))) == 21

    def test_is_of_two_people_alone(self, alice: User, bob: User, carol: User) -> None:
        alice.sent(bob)
        assert listed(carol.history(alice)) == listed(carol.history(bob)) == []

    def test_shows_a_client_id_to_its_sender_alone(self, alice: User, bob: User) -> None:
        alice.sent(bob, clientMsgId="c-1")
        assert alice.history(bob).data["list"][0]["clientMsgId"] == "c-1"
        assert bob.history(alice).data["list"][0]["clientMsgId"] is None

    def test_of_a_group_is_for_its_members(
        self, service: Service, alice: User, carol: User
    ) -> None:
        group_id = service.make_group(alice)
        assert listed(alice.group_history(group_id)) == []
        assert refused(carol.group_history(group_id), 403, 4002)
        assert refused(alice.group_history(NOBODY), 404, 4001)


class TestRead:
    def test_of_a_strangers_message_is_as_of_none(
        self, service: Service, alice: User, bob: User, carol: User
    ) -> None:
        private = alice.sent(bob)
        in_group = alice.send_to_group(service.make_group(alice, bob)).data["messageId"]
        answers = [carol.read(message_id) for message_id in (private, in_group, NOBODY)]
        assert all(refused(answer, 404, 3002) for answer in answers)
        assert len({answer.body["message"] for answer in answers}) == 1

    def test_ends_with_the_membership(self, service: Service, alice: User, bob: User) -> None:
        group_id = service.make_group(alice, bob)
        message_id = alice.send_to_group(group_id).data["messageId"]
        service.remove_from_group(group_id, bob)
        assert refused(bob.read(message_id), 404, 3002)
        assert refused(bob.group_history(group_id), 403, 4002)


class TestOrderOfJudgement:
    CALLS = (
        ("POST", "/api/message/send"),
        ("POST", "/api/message/recall"),
        ("POST", "/api/message/delete"),
        ("GET", "/api/message/history"),
        ("GET", "/api/message/x"),
        ("DELETE", "/api/message/x"),
    )

    @pytest.mark.parametrize(("method", "path"), CALLS)
    def test_begins_with_who_asks(self, service: Service, method: str, path: str) -> None:
        assert refused(service.anybody.call(method, path, content=b"{"), 401, 401)
        huge = service.anybody.call(method, path, content=b" " * 300_000)
        assert refused(huge, 401, 401)

    @pytest.mark.parametrize(("method", "path"), CALLS)
    def test_goes_on_with_the_form(self, alice: User, method: str, path: str) -> None:
        assert alice.client.call(method, path).wrong

    def test_ends_with_permission_and_state(self, service: Service, alice: User) -> None:
        wrong = alice.send_to_group(NOBODY, "")
        assert wrong.wrong == {"content"}


class TestAnswers:
    def test_tell_unknown_paths(self, service: Service, alice: User) -> None:
        paths = [
            "/api/",
            "/api",
            "/api/message",
            "/api/message/",
            "/api/message/1/2",
            "/api/x.json",
        ]
        for client in (service.anybody, alice.client):
            for path in paths:
                for method in ("GET", "POST", "DELETE", "PATCH"):
                    assert refused(client.call(method, path, {}), 404, 404)

    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("GET", "/api/message/send", "POST"),
            ("PUT", "/api/message/recall", "POST"),
            ("PATCH", "/api/message/delete", "POST"),
            ("POST", "/api/message/history", "GET"),
            ("POST", "/api/message/1", "GET"),
            ("GET", "/api/user/register", "POST"),
            ("DELETE", "/api/user/login", "POST"),
            ("GET", "/api/token/", "POST"),
            ("TRACE", "/api/message/send", "POST"),
            ("BREW", "/api/message/send", "POST"),
        ],
    )
    def test_tell_wrong_methods(self, alice: User, method: str, path: str, allowed: str) -> None:
        answer = alice.client.call(method, path)
        assert refused(answer, 405, 405)
        assert allowed in answer.headers["allow"].split(", ")

    def test_to_options_tell_the_methods(self, alice: User) -> None:
        answer = alice.client.call("OPTIONS", "/api/message/1")
        assert answer.data == {"methods": ["GET", "DELETE", "HEAD", "OPTIONS"]}
        assert answer.headers["allow"] == "GET, DELETE, HEAD, OPTIONS"

    def test_to_head_are_those_to_get(self, alice: User, bob: User) -> None:
        message_id = alice.sent(bob)
        assert alice.client.call("HEAD", f"/api/message/{message_id}").status == 200
        assert alice.client.call("HEAD", f"/api/message/{NOBODY}").status == 404

    @pytest.mark.parametrize("language", ["zh-CN", "zh-Hans", "zh;q=0.9, fr", "zh-hans-cn"])
    def test_are_in_the_clients_language(self, alice: User, language: str) -> None:
        headers = {"Accept-Language": language}
        path = "/api/message/9/"
        told = alice.client.call("GET", "/api/message/9", headers=headers)
        assert (told.code, told.body["message"]) == (3002, "消息不存在。")
        told = alice.client.call("GET", "/api/message/x", headers=headers)
        assert told.data["errors"]["messageId"][0].startswith("必须是 ID")
        told = alice.client.call("GET", path, headers=headers)
        assert told.body["message"] == "此地址不存在。"

    def test_are_in_english_for_everybody_else(self, alice: User) -> None:
        for language in ("fr", "", "*", "x" * 5000):
            told = alice.client.call("GET", "/api/message/9", headers={"Accept-Language": language})
            assert told.body["message"] == "There is no such message."

    def test_are_json_whatever_is_asked_for(self, alice: User) -> None:
        for accept in ("text/html", "application/xml;q=1", "image/*", "nonsense", ""):
            answer = alice.client.call("GET", "/api/message/9", headers={"Accept": accept})
            assert refused(answer, 404, 3002)
        assert refused(alice.client.get("/api/message/9", format="xml"), 404, 3002)
