"""Test the settings of conversations and clears by the API: answers, refusals and repeats."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.conversations import CLEAR, SET, clear, name_of, wish
from tests.support.groups import ZH, create, done
from tests.support.service import Service, User, listed, refused

NO_FLAGS: list[Any] = [0, 1, "true", [], {}]


@pytest.fixture
def private(service: Service, alice: User, bob: User) -> str:
    """Return the conversation of alice and bob, with one stored message."""
    alice.sent(bob)
    service.persist()
    return name_of(alice, bob)


class TestSettings:
    def test_are_answered_whole(self, alice: User, bob: User, private: str) -> None:
        answer = wish(bob, private, pinned=True, mutedForS=60, hidden=True, markedUnread=True)
        data = answer.data
        now_ms = time.time() * 1000
        assert abs(data.pop("pinTime") - now_ms) < 30_000
        assert abs(data.pop("mutedUntil") - now_ms - 60_000) < 30_000
        assert data == {"conversationId": private, "isHidden": True, "isMarkedUnread": True}
        unset = {"pinned": False, "mutedForS": 0, "hidden": False, "markedUnread": False}
        nothing = {
            "conversationId": private,
            "pinTime": None,
            "mutedUntil": 0,
            "isHidden": False,
            "isMarkedUnread": False,
        }
        for user in (bob, alice):
            for _ in range(2):
                assert wish(user, private, **unset).data == nothing

    def test_stay_as_they_are_where_they_are_not_given(self, bob: User, private: str) -> None:
        first = wish(bob, private, pinned=True, mutedForS=-1).data
        assert wish(bob, private, pinned=True).data == first
        marked = wish(bob, private, markedUnread=True, hidden=None).data
        assert marked == first | {"isMarkedUnread": True}

    def test_hide_a_conversation_until_the_next_message(
        self, service: Service, alice: User, bob: User, private: str
    ) -> None:
        alice.sent(bob)  # pending
        assert wish(bob, private, hidden=True).data["isHidden"]
        service.persist()
        assert wish(bob, private, mutedForS=0).data["isHidden"]
        alice.sent(bob)
        assert not wish(bob, private, mutedForS=0).data["isHidden"]

    def test_of_groups_end_with_the_membership(self, alice: User, bob: User) -> None:
        group_id = create(alice, bob)
        assert wish(bob, f"g{group_id}", pinned=True).data["pinTime"]
        done(bob, "leave", group_id)
        assert refused(wish(bob, f"g{group_id}", pinned=True), 404, 2007)
        assert refused(clear(bob, f"g{group_id}"), 404, 2007)

    def test_of_a_dissolved_group_are_its_members_own(self, alice: User, bob: User) -> None:
        group_id = create(alice, bob)
        done(alice, "dissolve", group_id)
        assert wish(bob, f"g{group_id}", hidden=True).data["isHidden"]
        assert clear(bob, f"g{group_id}").status == 200
        assert listed(bob.group_history(group_id)) == []


class TestClears:
    def test_are_answered_with_what_they_hide(self, alice: User, bob: User, private: str) -> None:
        data = clear(bob, private).data
        assert data.keys() == {"conversationId", "floorId", "readSeq"}
        assert (data["conversationId"], data["readSeq"]) == (private, 1)
        assert isinstance(data["floorId"], str)
        again = clear(bob, private).data
        assert int(again["floorId"]) >= int(data["floorId"])
        assert alice.history(bob).data["total"] == 1

    @pytest.mark.parametrize("kind", ["private", "group"])
    def test_hide_pending_messages_for_ever(
        self, service: Service, alice: User, bob: User, kind: str
    ) -> None:
        group_id = create(alice, bob)

        def say(count: int) -> list[str]:
            answers = [
                alice.send(bob) if kind == "private" else alice.send_to_group(group_id)
                for _ in range(count)
            ]
            return [answer.data["messageId"] for answer in answers]

        def page(user: User) -> Any:
            other = alice if user is bob else bob
            query = {"size": 100}
            return (
                user.history(other, **query)
                if kind == "private"
                else user.group_history(group_id, **query)
            )

        name = name_of(alice, bob) if kind == "private" else f"g{group_id}"
        say(1)
        service.persist()
        pending = say(40)
        assert clear(bob, name).status == 200
        assert listed(page(bob)) == []
        for ask in (bob.read, bob.recall, bob.delete):
            assert refused(ask(pending[0]), 404, 3002)
        later = say(2)
        assert listed(page(bob)) == later[::-1]
        service.persist()
        assert listed(page(bob)) == later[::-1]
        assert refused(bob.read(pending[-1]), 404, 3002)
        assert len(listed(page(alice))) >= 43
        assert alice.read(pending[0]).status == 200


class TestRefusals:
    def test_of_conversations_of_others_and_of_none_are_alike(
        self, carol: User, alice: User, bob: User, private: str
    ) -> None:
        group_id = create(alice, bob)
        absent = name_of(carol, alice)
        for name in (private, f"g{group_id}", absent, "g999999", f"{carol.id}_{carol.id}"):
            for answer in (wish(carol, name, pinned=True), clear(carol, name)):
                assert refused(answer, 404, 2007)
        answer = clear(carol, private, headers=ZH)
        assert refused(answer, 404, 2007)
        assert answer.body["message"] == "会话不存在。"

    @pytest.mark.parametrize(
        "name", ["", "g", "g0", "1", "2_1", "1_2_3", "x", 1, [], {}, True, f"g{2**63}"]
    )
    def test_of_bad_ids(self, alice: User, name: object) -> None:
        assert wish(alice, name, pinned=True).wrong == {"conversationId"}
        assert clear(alice, name).wrong == {"conversationId"}

    def test_of_bad_values(self, alice: User) -> None:
        assert wish(alice, "g1").wrong == {"body"}
        assert alice.client.post(SET, {}).wrong == {"conversationId", "body"}
        assert alice.client.post(CLEAR, {}).wrong == {"conversationId"}
        for field in ("pinned", "hidden", "markedUnread"):
            for value in NO_FLAGS:
                assert wish(alice, "g1", **{field: value}).wrong == {field}
        for seconds in (-2, 31_622_401, 1.5, "60", True, ""):
            assert wish(alice, "g1", mutedForS=seconds).wrong == {"mutedForS"}

    def test_of_a_caller_without_a_token(self, service: Service) -> None:
        for path in (SET, CLEAR):
            assert service.anybody.post(path, {"conversationId": "g1"}).status == 401
