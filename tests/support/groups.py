"""Call the verbs of groups as the users of the service do."""

from __future__ import annotations

from typing import Any

from tests.support.http_client import Answer
from tests.support.service import User

ZH = {"Accept-Language": "zh-CN"}


def act(user: User, verb: str, group_id: str, **fields: Any) -> Answer:
    return user.client.post(f"/api/group/{verb}", {"groupId": group_id} | fields)


def done(user: User, verb: str, group_id: str, **fields: Any) -> Any:
    """Call a verb, check that it is done, and return the data."""
    answer = act(user, verb, group_id, **fields)
    assert answer.status == 200, answer.content
    return answer.data


def create(owner: User, *members: User, **fields: Any) -> str:
    """Create a group, check that nobody was refused, and return its id."""
    body = {"name": "Book club", "memberIds": [member.id for member in members]} | fields
    answer = owner.client.post("/api/group/create", body)
    assert answer.status == 200, answer.content
    assert answer.data["refused"] == []
    return str(answer.data["group"]["groupId"])


def group_seen_by(user: User, group_id: str) -> Any:
    answer = user.client.get(f"/api/group/{group_id}")
    assert answer.status == 200, answer.content
    return answer.data["group"]


def roles(user: User, group_id: str) -> dict[str, str]:
    """Return the roles of all members by id, as a member reads them."""
    answer = user.client.get("/api/group/members", groupId=group_id, size=100)
    assert answer.status == 200, answer.content
    return {each["userId"]: each["role"] for each in answer.data["list"]}


def told(user: User, group_id: str) -> list[Any]:
    """Return the notices of a group that a member may see, oldest first."""
    newest_first: list[Any] = []
    query: dict[str, object] = {"size": 100}
    while True:
        answer = user.group_history(group_id, **query)
        assert answer.status == 200, answer.content
        newest_first += [each["notice"] for each in answer.data["list"] if each["msgType"] == 9]
        if not answer.data["hasMore"]:
            return newest_first[::-1]
        query["beforeId"] = answer.data["nextBeforeId"]


def events(user: User, group_id: str) -> list[str]:
    return [notice["event"] for notice in told(user, group_id)]
