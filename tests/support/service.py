"""Use the service under test through its HTTP API alone, as its users do."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Any

import pytest
from django.db.models import F

from bench.laps.group_rows import insert_group
from messaging.domain.groups import OutReason
from messaging.domain.ids import group_conversation
from messaging.models import ChatGroup, ChatGroupMember, Participant
from messaging.runtime import adapters
from tests.support.http_client import Answer, Client

PERSIST_TIMEOUT_S = 20.0
PASSWORD = "correct horse battery"


def at_both_doors() -> pytest.MarkDecorator:
    """Run a test through the gateway, and through Django alone."""
    ids = ["by-gateway", "by-django"]
    return pytest.mark.parametrize("door", ["gateway", "django"], indirect=True, ids=ids)


def with_settings(**values: object) -> pytest.MarkDecorator:
    """Run a test on a service with these settings."""
    name = ",".join(f"{name}={value}" for name, value in values.items())
    return pytest.mark.parametrize("configured", [values], indirect=True, ids=[name])


@dataclass(frozen=True, slots=True)
class User:
    """Call the API as a registered user, with the token of that user."""

    id: str
    client: Client
    name: str = ""

    def send(self, receiver: User, content: str = "hi", **fields: Any) -> Answer:
        body = {"toUserId": receiver.id, "chatType": 1, "msgType": 1, "content": content}
        return self.client.post("/api/message/send", body | fields)

    def send_to_group(self, group_id: str, content: str = "hi", **fields: Any) -> Answer:
        body = {"groupId": group_id, "chatType": 2, "msgType": 1, "content": content}
        return self.client.post("/api/message/send", body | fields)

    def sent(self, receiver: User, content: str = "hi", **fields: Any) -> str:
        """Send a message, check that it was accepted, and return its id."""
        answer = self.send(receiver, content, **fields)
        assert answer.status == 200, answer.content
        return str(answer.data["messageId"])

    def recall(self, message_id: object) -> Answer:
        return self.client.post("/api/message/recall", {"messageId": message_id})

    def delete(self, message_id: object) -> Answer:
        return self.client.delete(f"/api/message/{message_id}")

    def read(self, message_id: object) -> Answer:
        return self.client.get(f"/api/message/{message_id}")

    def block(self, other: User) -> Answer:
        """Block another user, check that the block was set, and return the answer."""
        answer = self.client.post("/api/user/block", {"userId": other.id})
        assert answer.status == 200, answer.content
        return answer

    def history(self, other: User, **query: object) -> Answer:
        return self.client.get("/api/message/history", targetId=other.id, chatType=1, **query)

    def group_history(self, group_id: str, **query: object) -> Answer:
        return self.client.get("/api/message/history", targetId=group_id, chatType=2, **query)


@dataclass(frozen=True, slots=True)
class Service:
    """Hold the running service; `anybody` calls the service without a token."""

    anybody: Client

    def register(self, username: str) -> User:
        credentials = {"username": username, "password": PASSWORD}
        answer = self.anybody.post("/api/user/register", credentials)
        assert answer.status == 200, answer.content
        client = replace(self.anybody, token=answer.data["token"])
        return User(answer.data["userId"], client, username)

    def make_group(self, *members: User, **columns: object) -> str:
        """Make a group of these users, the first of whom is the owner, and tell all processes."""
        group_id = insert_group("group", [int(member.id) for member in members])
        ChatGroup.objects.filter(pk=group_id).update(**{"name": "group"} | columns)
        for member in ChatGroupMember.objects.filter(group_id=group_id):
            member.save()
        return str(group_id)

    def remove_from_group(self, group_id: str, member: User) -> None:
        """Remove a member by rows, and tell all processes."""
        group, user_id = ChatGroup.objects.get(pk=group_id), int(member.id)
        group.members.remove(user_id)
        group.member_count = group.members.count()
        group.save()
        Participant.objects.filter(
            conversation_id=group_conversation(group.pk), user_id=user_id
        ).update(is_in=False, out_reason=OutReason.REMOVED.value, rev=F("rev") + 1)

    def persist(self) -> None:
        """Consume the log until nothing is pending, as the process of the consumer does."""
        asyncio.run(_consume())


def listed(answer: Answer) -> list[str]:
    """Return the ids of a whole page of history, in the order of the page."""
    assert answer.status == 200, answer.content
    assert list(answer.data) == ["total", "list", "hasMore", "nextBeforeId", "partial"]
    assert answer.data["partial"] is False
    return [message["messageId"] for message in answer.data["list"]]


def refused(answer: Answer, status: int, code: int) -> bool:
    """Check that an answer refuses a request with this status and code, and tells no more."""
    assert (answer.status, answer.code) == (status, code), answer.content
    assert answer.data is None
    return True


async def _consume() -> None:
    consumer = adapters.open_consumer()
    deadline_s = time.monotonic() + PERSIST_TIMEOUT_S
    try:
        while await consumer.step() or await consumer.cache.pending_count():
            assert time.monotonic() < deadline_s, "messages stay pending"
    finally:
        await adapters.close_consumer(consumer)
