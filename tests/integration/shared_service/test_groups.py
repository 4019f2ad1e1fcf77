"""Test groups by the API: what each verb answers, refuses, repeats and tells."""

from __future__ import annotations

import time
from typing import Any

from tests.support.groups import ZH, act, create, done, events, group_seen_by, roles, told
from tests.support.service import Service, User, refused

NOBODY = "999999999"


class TestCreating:
    def test_answers_with_the_group(self, alice: User, bob: User) -> None:
        body = {"name": "Book club", "memberIds": [bob.id]}
        data = alice.client.post("/api/group/create", body).data
        group = data["group"]
        assert abs(group.pop("createTime") - time.time() * 1000) < 60_000
        assert data["refused"] == []
        assert group == {
            "groupId": group["groupId"],
            "name": "Book club",
            "avatar": "",
            "announcement": "",
            "joinMode": "invite",
            "history": "joined",
            "inviteBy": "members",
            "atAllBy": "admins",
            "isAllMuted": False,
            "state": "NORMAL",
            "memberCount": 2,
            "myRole": "owner",
            "memberMutedUntil": 0,
        }
        assert isinstance(group["groupId"], str)
        assert roles(bob, group["groupId"]) == {alice.id: "owner", bob.id: "member"}

    def test_takes_every_setting(self, alice: User) -> None:
        fields = {
            "avatar": "https://img.example.org/a.png",
            "joinMode": "approval",
            "history": "all",
            "inviteBy": "admins",
            "atAllBy": "members",
        }
        group_id = create(alice, **fields)
        group = group_seen_by(alice, group_id)
        assert {name: group[name] for name in fields} == fields

    def test_tells_of_the_group_and_of_its_first_members(self, alice: User, bob: User) -> None:
        group_id = create(alice, bob)
        created, invited = told(bob, group_id)
        nothing = {"changed": None, "role": None, "memberMutedUntil": None}
        assert created == {"event": "created", "userIds": [alice.id], "count": 1} | nothing
        assert invited == {"event": "invited", "userIds": [bob.id], "count": 1} | nothing

    def test_with_one_request_id_is_one_group(self, alice: User, bob: User) -> None:
        body = {"name": "First", "memberIds": [bob.id, NOBODY], "requestId": "r 1"}
        first = alice.client.post("/api/group/create", body).data
        assert alice.client.post("/api/group/create", body).data == first
        other = alice.client.post("/api/group/create", body | {"name": "Other"}).data
        assert other["group"] == first["group"]
        assert events(alice, first["group"]["groupId"]) == ["created", "invited"]
        bobs = bob.client.post("/api/group/create", {"name": "Bob's", "requestId": "r 1"}).data
        assert bobs["group"]["groupId"] != first["group"]["groupId"]

    def test_is_repeated_after_the_group_was_dissolved(self, alice: User) -> None:
        group_id = create(alice, requestId="r")
        done(alice, "dissolve", group_id)
        assert create(alice, requestId="r") == group_id
        assert group_seen_by(alice, group_id)["state"] == "DISSOLVED"

    def test_adds_the_others_where_one_is_refused(
        self, service: Service, alice: User, bob: User, carol: User, unused: str
    ) -> None:
        dave = service.register(f"dave{unused}")
        bob.block(alice)
        carol.client.post("/api/user/me", {"invitesFrom": "nobody"})
        body = {"name": "x", "memberIds": [bob.id, carol.id, NOBODY, dave.id, dave.id]}
        data = alice.client.post("/api/group/create", body).data
        assert data["refused"] == [
            {"userId": bob.id, "code": 2005},
            {"userId": carol.id, "code": 4008},
            {"userId": NOBODY, "code": 1002},
        ]
        assert data["group"]["memberCount"] == 2


class TestAnUpdate:
    def test_answers_with_the_group_and_tells_what_has_changed(
        self, alice: User, bob: User
    ) -> None:
        group_id = create(alice, bob)
        fields = {"name": "Chess", "announcement": "Monday", "isAllMuted": True}
        group = done(alice, "update", group_id, **fields)["group"]
        assert {name: group[name] for name in fields} == fields
        assert done(alice, "update", group_id, **fields)["group"] == group
        updated, muted = told(bob, group_id)[2:]
        assert (updated["event"], updated["changed"]) == ("updated", ["name", "announcement"])
        assert muted["event"] == "allMuted"
        done(alice, "update", group_id, isAllMuted=False)
        assert events(bob, group_id)[-1] == "allUnmuted"

    def test_takes_texts_away(self, alice: User) -> None:
        group_id = create(alice, avatar="/a.png")
        done(alice, "update", group_id, announcement="x")
        group = done(alice, "update", group_id, avatar="", announcement="")["group"]
        assert (group["avatar"], group["announcement"]) == ("", "")

    def test_without_a_field_changes_nothing(self, alice: User) -> None:
        group_id = create(alice)
        assert done(alice, "update", group_id)["group"] == group_seen_by(alice, group_id)
        assert events(alice, group_id) == ["created"]

    def test_is_refused_by_role(self, alice: User, bob: User, carol: User) -> None:
        group_id = create(alice, bob)
        assert refused(act(bob, "update", group_id, name="x"), 403, 4003)
        assert refused(act(carol, "update", group_id, name="x"), 403, 4002)
        assert refused(act(alice, "update", NOBODY, name="x"), 404, 4001)
        done(alice, "role", group_id, userId=bob.id, role="admin")
        done(bob, "update", group_id, name="x")
        for field, value in (("joinMode", "open"), ("history", "all")):
            assert refused(act(bob, "update", group_id, **{field: value}), 403, 4003)


class TestAJoin:
    def test_of_an_open_group(self, alice: User, bob: User) -> None:
        group_id = create(alice, joinMode="open")
        for _ in range(2):
            assert done(bob, "join", group_id) == {"groupId": group_id, "state": "joined"}
        assert events(alice, group_id) == ["created", "joined"]
        assert events(bob, group_id) == ["joined"]

    def test_with_approval(self, alice: User, bob: User, carol: User) -> None:
        group_id = create(alice, joinMode="approval")
        for _ in range(2):
            assert done(bob, "join", group_id, text="hi")["state"] == "requested"
        done(carol, "join", group_id)
        page = alice.client.get("/api/group/requests", groupId=group_id).data
        assert list(page) == ["list", "hasMore", "nextAfter"]
        assert [(each["userId"], each["text"]) for each in page["list"]] == [
            (bob.id, "hi"),
            (carol.id, ""),
        ]
        assert list(page["list"][0]) == ["userId", "text", "requestTime"]
        answer = {"groupId": group_id, "userId": bob.id, "accept": True}
        for _ in range(2):
            assert done(alice, "answer", group_id, userId=bob.id, accept=True) == answer
        done(alice, "answer", group_id, userId=carol.id, accept=False)
        assert refused(act(alice, "answer", group_id, userId=carol.id, accept=False), 404, 1002)
        assert roles(alice, group_id) == {alice.id: "owner", bob.id: "member"}
        assert events(alice, group_id) == ["created", "joined"]
        assert alice.client.get("/api/group/requests", groupId=group_id).data["list"] == []

    def test_of_an_invite_group_is_refused(self, alice: User, bob: User) -> None:
        answer = act(bob, "join", create(alice))
        assert (answer.status, answer.code) == (403, 4008)
        assert answer.data == {"reason": "invite"}

    def test_of_a_banned_user_is_refused_until_the_ban_ends(self, alice: User, bob: User) -> None:
        group_id = create(alice, bob, joinMode="open")
        done(alice, "remove", group_id, userIds=[bob.id], ban=True)
        answer = act(bob, "join", group_id)
        assert (answer.status, answer.code) == (403, 4008)
        assert answer.data == {"reason": "banned"}
        assert done(alice, "invite", group_id, userIds=[bob.id]) == {
            "added": [],
            "refused": [{"userId": bob.id, "code": 4008}],
        }
        for _ in range(2):
            unbanned = done(alice, "unban", group_id, userIds=[bob.id, NOBODY])
            assert unbanned["unbanned"] == [bob.id]
            assert unbanned["refused"] == [{"userId": NOBODY, "code": 1002}]
        assert done(bob, "join", group_id)["state"] == "joined"

    def test_of_a_dissolved_or_unknown_group_is_refused(self, alice: User, bob: User) -> None:
        group_id = create(alice, joinMode="open")
        done(alice, "dissolve", group_id)
        assert refused(act(bob, "join", group_id), 409, 4007)
        assert refused(act(bob, "join", NOBODY), 404, 4001)

    def test_by_the_caller_of_answer_needs_a_role(
        self, alice: User, bob: User, carol: User
    ) -> None:
        group_id = create(alice, bob, joinMode="approval")
        done(carol, "join", group_id)
        for path in ("answer", "requests"):
            for user, code in ((bob, 4003), (carol, 4002)):
                if path == "answer":
                    answer = act(user, "answer", group_id, userId=carol.id, accept=True)
                else:
                    answer = user.client.get("/api/group/requests", groupId=group_id)
                assert refused(answer, 403, code)


class TestAnInvitation:
    def test_names_who_is_in_and_who_was_refused(
        self, service: Service, alice: User, bob: User, carol: User, unused: str
    ) -> None:
        dave = service.register(f"dave{unused}")
        group_id = create(alice, bob)
        carol.block(bob)
        for _ in range(2):
            data = done(bob, "invite", group_id, userIds=[alice.id, carol.id, dave.id, NOBODY])
            assert data == {
                "added": [alice.id, dave.id],
                "refused": [
                    {"userId": carol.id, "code": 2005},
                    {"userId": NOBODY, "code": 1002},
                ],
            }
        assert told(alice, group_id)[2:] == [
            {
                "event": "invited",
                "userIds": [dave.id],
                "count": 1,
                "changed": None,
                "role": None,
                "memberMutedUntil": None,
            }
        ]

    def test_settles_a_request(self, alice: User, bob: User) -> None:
        group_id = create(alice, joinMode="approval")
        done(bob, "join", group_id)
        done(alice, "invite", group_id, userIds=[bob.id])
        assert alice.client.get("/api/group/requests", groupId=group_id).data["list"] == []

    def test_by_a_member_depends_on_the_group(self, alice: User, bob: User, carol: User) -> None:
        group_id = create(alice, bob)
        done(alice, "update", group_id, inviteBy="admins")
        assert refused(act(bob, "invite", group_id, userIds=[carol.id]), 403, 4003)
        assert refused(act(carol, "invite", group_id, userIds=[bob.id]), 403, 4002)


class TestGoing:
    def test_by_a_leave(self, alice: User, bob: User, carol: User) -> None:
        group_id = create(alice, bob)
        for _ in range(2):
            assert done(bob, "leave", group_id) == {"groupId": group_id}
        assert events(alice, group_id) == ["created", "invited", "left"]
        assert refused(act(carol, "leave", group_id), 403, 4002)
        assert refused(bob.group_history(group_id), 403, 4002)

    def test_of_the_last_member_dissolves_the_group(self, alice: User) -> None:
        group_id = create(alice, joinMode="open")
        for _ in range(2):
            done(alice, "leave", group_id)
        assert refused(act(alice, "join", group_id), 409, 4007)

    def test_by_a_removal(self, alice: User, bob: User, carol: User) -> None:
        group_id = create(alice, bob)
        for _ in range(2):
            data = done(alice, "remove", group_id, userIds=[bob.id, carol.id])
            assert data == {
                "removed": [bob.id],
                "refused": [{"userId": carol.id, "code": 1002}],
            }
        assert events(alice, group_id) == ["created", "invited", "removed"]
        assert refused(act(bob, "leave", group_id), 403, 4002)

    def test_by_a_ban_also_of_somebody_outside(self, alice: User, bob: User, carol: User) -> None:
        group_id = create(alice, bob)
        for _ in range(2):
            data = done(alice, "remove", group_id, userIds=[bob.id, carol.id], ban=True)
            assert data == {"removed": [bob.id, carol.id], "refused": []}
        banned = told(alice, group_id)[-1]
        assert (banned["event"], banned["userIds"]) == ("banned", [bob.id, carol.id])
        assert len(told(alice, group_id)) == 3

    def test_is_refused_by_role_one_by_one(
        self, service: Service, alice: User, bob: User, carol: User, unused: str
    ) -> None:
        dave = service.register(f"dave{unused}")
        group_id = create(alice, bob, carol, dave)
        for admin in (bob, carol):
            done(alice, "role", group_id, userId=admin.id, role="admin")
        data = done(bob, "remove", group_id, userIds=[alice.id, carol.id, dave.id])
        assert data == {
            "removed": [dave.id],
            "refused": [{"userId": alice.id, "code": 4003}, {"userId": carol.id, "code": 4003}],
        }
        assert refused(act(dave, "remove", group_id, userIds=[bob.id]), 403, 4002)


class TestRoles:
    def test_are_given_and_taken_by_the_owner(self, alice: User, bob: User, carol: User) -> None:
        group_id = create(alice, bob)
        for role in ("admin", "admin", "member"):
            data = done(alice, "role", group_id, userId=bob.id, role=role)
            assert data == {"groupId": group_id, "userId": bob.id, "role": role}
        given = [notice["role"] for notice in told(bob, group_id) if notice["event"] == "role"]
        assert given == ["admin", "member"]
        assert refused(act(alice, "role", group_id, userId=carol.id, role="admin"), 404, 1002)
        assert refused(act(bob, "role", group_id, userId=alice.id, role="member"), 403, 4003)
        assert refused(act(carol, "role", group_id, userId=bob.id, role="admin"), 403, 4002)

    def test_of_the_owner_goes_to_a_member(self, alice: User, bob: User, carol: User) -> None:
        group_id = create(alice, bob)
        assert refused(act(bob, "transfer", group_id, userId=bob.id), 403, 4003)
        assert refused(act(alice, "transfer", group_id, userId=carol.id), 404, 1002)
        for _ in range(2):
            data = done(alice, "transfer", group_id, userId=bob.id)
            assert data == {"groupId": group_id, "userId": bob.id}
        assert roles(alice, group_id) == {bob.id: "owner", alice.id: "admin"}
        assert events(bob, group_id)[2:] == ["transferred"]
        assert group_seen_by(bob, group_id)["myRole"] == "owner"


class TestAMute:
    def test_has_an_end(self, alice: User, bob: User) -> None:
        group_id = create(alice, bob)
        before_ms = time.time() * 1000
        until = done(alice, "mute", group_id, userId=bob.id, forS=600)["mutedUntil"]
        assert 599_000 < until - before_ms < 660_000
        assert done(alice, "mute", group_id, userId=bob.id, forS=600)["mutedUntil"] == until
        assert group_seen_by(bob, group_id)["memberMutedUntil"] == until
        assert told(bob, group_id)[-1]["memberMutedUntil"] == until
        assert done(alice, "mute", group_id, userId=bob.id, forS=-1)["mutedUntil"] == -1
        assert done(alice, "mute", group_id, userId=bob.id, forS=0)["mutedUntil"] == 0
        assert events(bob, group_id)[2:] == ["muted", "muted", "unmuted"]

    def test_holds_for_a_member_who_comes_back(self, alice: User, bob: User) -> None:
        group_id = create(alice, bob, joinMode="open")
        until = done(alice, "mute", group_id, userId=bob.id, forS=600)["mutedUntil"]
        done(bob, "leave", group_id)
        assert done(bob, "join", group_id)["state"] == "joined"
        assert group_seen_by(bob, group_id)["memberMutedUntil"] == until
        assert bob.send_to_group(group_id).code == 4004

    def test_is_refused_by_role(self, alice: User, bob: User, carol: User) -> None:
        group_id = create(alice, bob)
        assert refused(act(bob, "mute", group_id, userId=alice.id, forS=1), 403, 4003)
        assert refused(act(alice, "mute", group_id, userId=alice.id, forS=1), 403, 4003)
        assert refused(act(alice, "mute", group_id, userId=carol.id, forS=1), 404, 1002)


def test_a_nickname_is_ones_own_and_told_to_nobody(alice: User, bob: User) -> None:
    group_id = create(alice, bob)
    data = done(bob, "nickname", group_id, nickname="Bobby")
    assert data == {"groupId": group_id, "nickname": "Bobby"}
    members = alice.client.get("/api/group/members", groupId=group_id).data["list"]
    assert [each["nickname"] for each in members] == ["", "Bobby"]
    done(bob, "nickname", group_id, nickname="")
    assert events(bob, group_id) == ["created", "invited"]


class TestADissolution:
    def test_leaves_the_group_to_be_read_and_left(self, alice: User, bob: User) -> None:
        group_id = create(alice, bob)
        for _ in range(2):
            assert done(alice, "dissolve", group_id) == {"groupId": group_id}
        assert events(bob, group_id) == ["created", "invited", "dissolved"]
        assert group_seen_by(bob, group_id)["state"] == "DISSOLVED"
        assert roles(bob, group_id) == {alice.id: "owner", bob.id: "member"}
        for who in (bob, alice):
            done(who, "leave", group_id)

    def test_is_the_owners_and_ends_every_change(self, alice: User, bob: User) -> None:
        group_id = create(alice, bob)
        assert refused(act(bob, "dissolve", group_id), 403, 4003)
        done(alice, "dissolve", group_id)
        fields = {"userId": bob.id, "userIds": [bob.id], "role": "admin", "forS": 1, "name": "x"}
        fields |= {"accept": True, "nickname": "x"}
        verbs = "update answer invite remove unban role transfer mute nickname"
        for verb in verbs.split():
            assert refused(act(alice, verb, group_id, **fields), 409, 4007), verb


class TestReading:
    def test_somebody_outside_sees_name_avatar_and_count_of_a_public_group(
        self, alice: User, bob: User, carol: User
    ) -> None:
        for mode in ("open", "approval"):
            group_id = create(alice, bob, joinMode=mode, avatar="/a.png")
            seen = group_seen_by(carol, group_id)
            public = {"groupId": group_id, "name": "Book club", "avatar": "/a.png"}
            assert {n: v for n, v in seen.items() if v is not None} == public | {"memberCount": 2}
            assert seen.keys() == group_seen_by(alice, group_id).keys()
            done(alice, "remove", group_id, userIds=[bob.id])
            assert group_seen_by(bob, group_id)["myRole"] is None
            done(alice, "remove", group_id, userIds=[bob.id], ban=True)
            assert refused(bob.client.get(f"/api/group/{group_id}"), 404, 4001)

    def test_an_invite_group_is_as_absent_from_outside(self, alice: User, carol: User) -> None:
        group_id = create(alice)
        for each in (group_id, NOBODY):
            assert refused(carol.client.get(f"/api/group/{each}"), 404, 4001)
        assert refused(carol.client.get("/api/group/members", groupId=group_id), 403, 4002)
        assert refused(carol.client.get("/api/group/members", groupId=NOBODY), 404, 4001)

    def test_members_come_by_role_then_by_id_page_by_page(
        self, service: Service, alice: User, bob: User, carol: User, unused: str
    ) -> None:
        dave = service.register(f"dave{unused}")
        group_id = create(dave, carol, bob, alice)
        done(dave, "role", group_id, userId=bob.id, role="admin")
        found: list[str] = []
        query: dict[str, Any] = {"groupId": group_id, "size": 1}
        while True:
            page = alice.client.get("/api/group/members", **query).data
            found += [each["userId"] for each in page["list"]]
            assert page["hasMore"] is (page["nextAfter"] is not None)
            if not page["hasMore"]:
                break
            query["after"] = page["nextAfter"]
        assert found == [dave.id, bob.id, alice.id, carol.id]
        admins = alice.client.get("/api/group/members", groupId=group_id, role="admin").data
        assert [each["userId"] for each in admins["list"]] == [bob.id]
        first = page["list"][0]
        assert list(first) == ["userId", "role", "nickname", "joinTime", "memberMutedUntil"]

    def test_requests_come_page_by_page(self, alice: User, bob: User, carol: User) -> None:
        group_id = create(alice, joinMode="approval")
        for user in (bob, carol):
            done(user, "join", group_id)
        query = {"groupId": group_id, "size": 1}
        first = alice.client.get("/api/group/requests", **query).data
        last = alice.client.get("/api/group/requests", after=first["nextAfter"], **query).data
        found = [each["userId"] for page in (first, last) for each in page["list"]]
        assert found == sorted([bob.id, carol.id], key=int)
        assert (first["hasMore"], last["hasMore"], last["nextAfter"]) == (True, False, None)


def test_a_notice_cannot_be_sent_by_a_client(alice: User) -> None:
    group_id = create(alice)
    assert alice.send_to_group(group_id, msgType=9).wrong == {"msgType"}


def test_errors_are_told_in_chinese_too(alice: User, bob: User, carol: User) -> None:
    group_id = create(alice, bob, joinMode="open")

    def text(user: User, verb: str, **fields: Any) -> str:
        body = {"groupId": group_id} | fields
        answer = user.client.post(f"/api/group/{verb}", body, headers=ZH)
        return str(answer.body["message"])

    assert text(bob, "dissolve") == "您在该群组中的角色无权执行此操作。"
    assert text(carol, "leave") == "您不是该群组的成员。"
    wrong = alice.client.post("/api/group/mute", {"forS": -2}, headers=ZH).data["errors"]
    assert wrong["forS"] == ["必须是不超过 2,592,000 的秒数；0 表示解除禁言，-1 表示永久禁言。"]
