"""Check rights in groups that shrink, and floors, on a real Redis and database.

The tests change the tables past Django's signals, so that the process hears of no change: the guard
alone makes the process ask again.
"""

from __future__ import annotations

from django.db import connection

from messaging.models import ChatGroup, ChatGroupMember, Participant
from messaging.runtime import wiring
from tests.support.service import Service, User, listed, refused


def remove(group_id: str, member: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM chat_group_member WHERE group_id = %s AND user_id = %s",
            [group_id, member.id],
        )


def set_member(group_id: str, member: User, **columns: object) -> None:
    ChatGroupMember.objects.filter(group_id=int(group_id), user_id=int(member.id)).update(**columns)


def set_group(group_id: str, **columns: object) -> None:
    ChatGroup.objects.filter(pk=group_id).update(**columns)


def distrust(group_id: str, *members: User) -> None:
    users = [int(member.id) for member in members] or None
    wiring.run(lambda backends: backends.cache.distrust(f"g{group_id}", users))


def floor_at(group_id: str, member: User, floor_id: str, floor_seq: int) -> None:
    Participant.objects.update_or_create(
        user_id=int(member.id),
        conversation_id=f"g{group_id}",
        defaults={"floor_id": int(floor_id), "floor_seq": floor_seq},
    )


class TestARemovedMember:
    def test_is_out_at_the_next_request(self, service: Service, alice: User, bob: User) -> None:
        group_id = service.make_group(alice, bob)
        message_id = alice.send_to_group(group_id).data["messageId"]
        assert bob.send_to_group(group_id).status == 200
        assert bob.read(message_id).status == 200
        remove(group_id, bob)
        distrust(group_id, bob)
        assert refused(bob.read(message_id), 404, 3002)
        assert refused(bob.group_history(group_id), 403, 4002)
        assert refused(bob.send_to_group(group_id), 403, 4002)
        assert refused(bob.recall(message_id), 404, 3002)
        assert refused(bob.delete(message_id), 404, 3002)
        service.persist()
        assert len(listed(alice.group_history(group_id))) == 2

    def test_is_out_for_sends_first_too(self, service: Service, alice: User, bob: User) -> None:
        group_id = service.make_group(alice, bob)
        first = bob.send_to_group(group_id, clientMsgId="k").data["messageId"]
        remove(group_id, bob)
        distrust(group_id, bob)
        assert refused(bob.send_to_group(group_id, clientMsgId="l"), 403, 4002)
        assert bob.send_to_group(group_id, clientMsgId="k").data["messageId"] == first

    def test_leaves_the_others_in(
        self, service: Service, alice: User, bob: User, statements: list[str]
    ) -> None:
        group_id = service.make_group(alice, bob)
        for member in (alice, bob):
            assert member.send_to_group(group_id).status == 200
        distrust(group_id, bob)
        statements.clear()
        assert alice.send_to_group(group_id).status == 200
        assert statements == []
        assert bob.send_to_group(group_id).status == 200
        assert statements
        statements.clear()
        assert bob.send_to_group(group_id).status == 200
        assert statements == []


class TestAMute:
    def test_is_heard_at_the_next_request(self, service: Service, alice: User, bob: User) -> None:
        group_id = service.make_group(alice, bob)
        for member in (alice, bob):
            assert member.send_to_group(group_id).status == 200
        set_member(group_id, bob, muted_until=-1)
        distrust(group_id, bob)
        answer = bob.send_to_group(group_id)
        assert (answer.status, answer.code, answer.data) == (403, 4004, {"mutedUntil": 0})
        set_group(group_id, is_all_muted=True)
        set_member(group_id, alice, role="admin")
        distrust(group_id)
        assert alice.send_to_group(group_id).status == 200
        set_group(group_id, state="DISSOLVED")
        distrust(group_id)
        assert refused(alice.send_to_group(group_id), 409, 4007)
        assert len(listed(bob.group_history(group_id))) == 3


class TestAFloor:
    def test_hides_what_is_older(self, service: Service, alice: User, bob: User) -> None:
        group_id = service.make_group(alice, bob)
        ids = [alice.send_to_group(group_id, str(n)).data["messageId"] for n in range(4)]
        service.persist()
        ids += [alice.send_to_group(group_id, str(n)).data["messageId"] for n in range(4, 6)]
        floor_at(group_id, bob, ids[2], 3)
        distrust(group_id, bob)
        for _ in range(2):
            assert listed(bob.group_history(group_id)) == ids[:2:-1]
            assert bob.group_history(group_id).data["total"] == 3
            assert listed(bob.group_history(group_id, page=2, size=2)) == [ids[3]]
            assert listed(bob.group_history(group_id, page=3, size=2)) == []
            assert listed(bob.group_history(group_id, beforeId=ids[3])) == []
            assert refused(bob.read(ids[2]), 404, 3002)
            assert bob.read(ids[3]).status == 200
            assert len(listed(alice.group_history(group_id))) == 6
            service.persist()

    def test_is_above_what_was_accepted_before_it(
        self, service: Service, alice: User, bob: User
    ) -> None:
        """An id that is not later than the floor is given up for a later one."""
        group_id = service.make_group(alice, bob)
        before = alice.send_to_group(group_id).data
        ahead_ms = before["sendTime"] + 3_000
        floor_ms = wiring.run(lambda backends: backends.cache.open_floor(f"g{group_id}", ahead_ms))
        assert floor_ms == ahead_ms
        after = alice.send_to_group(group_id).data
        assert after["sendTime"] > floor_ms
        assert listed(bob.group_history(group_id)) == [after["messageId"], before["messageId"]]


class TestARecallByAnAdministrator:
    def test_tells_who_recalled(self, service: Service, alice: User, bob: User) -> None:
        group_id = service.make_group(alice, bob)
        set_member(group_id, alice, role="admin")
        message_id = bob.send_to_group(group_id, "secret").data["messageId"]
        assert refused(bob.recall(alice.send_to_group(group_id).data["messageId"]), 403, 3005)
        assert alice.recall(message_id).status == 200
        service.persist()
        row = wiring.run(lambda backends: backends.store.get([int(message_id)]))[int(message_id)]
        assert (row.content, row.recalled_by) == ("", int(alice.id))
        seen = wiring.run(lambda backends: backends.cache.get([int(message_id)]))[int(message_id)]
        assert (seen.content, seen.recalled_by) == ("", int(alice.id))
