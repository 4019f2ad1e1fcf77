"""Call the API as the load does, and record each call from its invocation to its end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp

from messaging.domain.ids import group_conversation
from messaging.domain.message import MsgType
from tests.faults.transcript import Operation, Recorder, ShownMessage

CLIENT_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Post:
    """Hold a message to send under one clientMsgId to `target` (a user or a group)."""

    client_msg_id: str
    conversation: str
    target: int
    chat_type: int
    content: str
    url: str | None = None

    @property
    def body(self) -> dict[str, object]:
        return {
            "toUserId" if self.chat_type == 1 else "groupId": str(self.target),
            "chatType": self.chat_type,
            "msgType": 1 if self.url is None else 2,
            "content": self.content,
            "url": self.url,
            "clientMsgId": self.client_msg_id,
        }


class FaultClient:
    """Make the calls of one user.

    The outcome of a call is unknown when there is no answer within 5 s, or when the connection
    breaks.
    """

    def __init__(
        self, session: aiohttp.ClientSession, recorder: Recorder, *, user: int, token: str
    ) -> None:
        self.user = user
        self._session = session
        self._recorder = recorder
        self._headers = {"Authorization": f"Bearer {token}"}

    async def send(self, post: Post) -> Operation:
        operation = Operation(
            kind="send",
            user=self.user,
            conversation=post.conversation,
            invoked_s=0.0,
            client_msg_id=post.client_msg_id,
            content=post.content,
            url=post.url,
        )
        data = await self._call(operation, "POST", "message/send", json=post.body)
        if data:
            operation.message_id = int(data["messageId"])
            operation.durability = data["durability"]
        return self._record(operation)

    async def take_back(self, kind: str, conversation: str, message_id: int) -> Operation:
        """Recall or delete a message; `kind` is `recall` or `delete`."""
        operation = self._about(kind, conversation, message_id)
        await self._call(operation, "POST", f"message/{kind}", json={"messageId": str(message_id)})
        return self._record(operation)

    async def get(self, conversation: str, message_id: int) -> Operation:
        operation = self._about("get", conversation, message_id)
        if data := await self._call(operation, "GET", f"message/{message_id}"):
            operation.seen = [_seen(data)]
        return self._record(operation)

    async def page(
        self, conversation: str, *, target: int, chat_type: int, size: int, before: int | None
    ) -> Operation:
        operation = Operation(
            kind="history",
            user=self.user,
            conversation=conversation,
            invoked_s=0.0,
            before=before,
        )
        query = {"targetId": str(target), "chatType": str(chat_type), "size": str(size)}
        if before is not None:
            query["beforeId"] = str(before)
        if data := await self._call(operation, "GET", "message/history", params=query):
            operation.seen = [_seen(each) for each in data["list"]]
            operation.has_more = data["hasMore"]
            operation.partial = data["partial"]
        return self._record(operation)

    async def sync(self, cursor: str | None, *, limit: int, order: str) -> dict[str, Any] | None:
        """Return the answer to a sync; what it shows is recorded conversation by conversation."""
        operation = self._about("sync", "", None)
        body = {"cursor": cursor, "limit": limit, "order": order}
        data = await self._call(operation, "POST", "sync", json=body)
        self._record(operation)
        for told in data.get("conversations", ()):
            shown = self._about("sync", told["conversationId"], None)
            shown.invoked_s, shown.completed_s = operation.invoked_s, operation.completed_s
            if told["left"] is None:
                messages = (*told["messages"], *told["changes"], *told["pending"])
                shown.outcome, shown.seen = "ok", [_seen(each) for each in messages]
            self._record(shown)
        return data or None

    async def span(self, conversation: str, first: int, last: int) -> dict[str, Any] | None:
        operation = self._about("span", conversation, None)
        query = {"conversationId": conversation, "fromSeq": f"{first}", "toSeq": f"{last}"}
        data = await self._call(operation, "GET", "conversation/messages", params=query)
        operation.seen = [_seen(each) for each in data.get("list", ())]
        self._record(operation)
        return data or None

    async def mark(self, conversation: str, read_seq: int) -> int | None:
        """Mark a conversation as read, and return up to where it counts as read."""
        operation = self._about("mark", conversation, None)
        item = {"conversationId": conversation, "readSeq": read_seq}
        data = await self._call(operation, "POST", "conversation/receipts", json={"items": [item]})
        self._record(operation)
        return int(data["items"][0]["readSeq"]) if data.get("items") else None

    async def list_all(self) -> list[dict[str, Any]]:
        operation = self._about("list", "", None)
        query = {"size": "100", "includeHidden": "true"}
        data = await self._call(operation, "GET", "conversation/list", params=query)
        self._record(operation)
        return list(data.get("list", ()))

    async def whole_history(
        self, target: int, chat_type: int, *, size: int
    ) -> list[dict[str, Any]]:
        """Return all messages that the user may see, the oldest first."""
        messages: list[dict[str, Any]] = []
        query = {"targetId": str(target), "chatType": str(chat_type), "size": str(size)}
        while True:
            operation = self._about("history", "", None)
            data = await self._call(operation, "GET", "message/history", params=query)
            messages += data.get("list", ())
            if not data.get("hasMore"):
                return messages[::-1]
            query["beforeId"] = data["nextBeforeId"]

    async def let(self, kind: Literal["invite", "remove"], group: int, guest: int) -> Operation:
        """Invite a guest into a group that this user owns, or remove the guest."""
        operation = Operation(
            kind=kind,
            user=self.user,
            conversation=group_conversation(group),
            invoked_s=0.0,
            guest=guest,
        )
        body = {"groupId": str(group), "userIds": [str(guest)]}
        data = await self._call(operation, "POST", f"group/{kind}", json=body)
        if data.get("refused"):
            operation.outcome = "refused"
        return self._record(operation)

    def _about(self, kind: Any, conversation: str, message_id: int | None) -> Operation:
        return Operation(
            kind=kind,
            user=self.user,
            conversation=conversation,
            invoked_s=0.0,
            message_id=message_id,
        )

    def _record(self, operation: Operation) -> Operation:
        self._recorder.add(operation)
        return operation

    async def _call(
        self, operation: Operation, method: str, path: str, **options: Any
    ) -> dict[str, Any]:
        """Make the call and end the operation; return the data of a 200, else an empty object."""
        data: dict[str, Any] = {}
        operation.invoked_s = time.monotonic()
        try:
            async with self._session.request(
                method, f"/api/{path}", headers=self._headers, **options
            ) as answer:
                body = await answer.json()
            operation.status, operation.code = answer.status, body["code"]
            if answer.status == 200:
                operation.outcome, data = "ok", body["data"]
            elif answer.status < 500:
                operation.outcome = "refused"
        except (aiohttp.ClientError, TimeoutError):
            pass  # the outcome stays unknown
        operation.completed_s = time.monotonic()
        return data


def _seen(message: dict[str, Any]) -> ShownMessage:
    return ShownMessage(
        id=int(message["messageId"]),
        content=message["content"],
        url=message["url"],
        is_recalled=message["status"] == "RECALLED",
        seq=message["seq"],
        is_notice=message["msgType"] == MsgType.NOTICE,
    )
