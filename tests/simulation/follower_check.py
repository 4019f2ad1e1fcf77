"""Judge at rest what a client on sync knows, by the history and the list of its user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from messaging.domain.conversation_requests import ListRequest
from messaging.domain.message import Message, MsgType
from messaging.http.representation import present_message
from messaging.service.conversations import ConversationPage, list_conversations
from messaging.terminal.model import Conversation
from tests.simulation.followers import Follower

if TYPE_CHECKING:
    from tests.simulation.world import World

WHOLE = 100
Json = Mapping[str, Any]


class FollowerCheck:
    """Compare a follower's conversations with what its user reads afresh."""

    def __init__(self, world: World, follower: Follower, user: int) -> None:
        self._world, self._follower, self._user = world, follower, user

    async def run(self) -> None:
        follower = self._follower
        if not await follower.catch_up():
            self._violate("not caught up", f"{follower.device.model.gaps}")
            return
        page = await self._list()
        if page is None:
            self._violate("no list at rest", "")
            return
        known = follower.device.model.conversations
        views = {view.entry.conversation_id: view for view in page.views}
        if known.keys() != views.keys():
            self._violate("other conversations", f"{sorted(known)}, not {sorted(views)}")
        for target in dict.fromkeys(self._world.targets_of(self._user)):
            read = await follower.read(*target)
            if read is None or read.partial or read.conversation not in views:
                continue
            messages = read.seen[::-1]
            if read.conversation in known:
                self._compare(known[read.conversation], messages)
            view = views[read.conversation]
            unread = self._recount(messages, view.entry.participant.read_seq)
            if view.unread != unread:
                told = f"{view.unread} in {read.conversation}, not {unread}"
                self._violate("unread is no recount", told)
            if view.last_message != (messages[-1] if messages else None):
                self._violate("other last message", f"{view.last_message}, not {messages[-1:]}")
        self._check_marks()

    async def _list(self) -> ConversationPage | None:
        request = ListRequest(size=WHOLE, after=None, includes_hidden=True)
        for web in self._world.webs:
            page = await list_conversations(web.backends, request, reader_id=self._user)
            if not page.partial:
                return page
        return None

    def _compare(self, known: Conversation, messages: list[Message]) -> None:
        shown = [present_message(message, viewer_id=self._user) for message in messages]
        if [_brief(m) for m in known.in_order] != [_brief(m) for m in shown]:
            told = f"{[_brief(m) for m in known.in_order]}, not {[_brief(m) for m in shown]}"
            self._violate("sync differs from history", told)

    def _recount(self, messages: list[Message], read_seq: int) -> int:
        return sum(
            message.from_user_id != self._user
            and not message.is_recalled
            and message.msg_type is not MsgType.NOTICE
            and (message.seq is None or message.seq > read_seq)
            for message in messages
        )

    def _check_marks(self) -> None:
        for (user, name), seq in self._world.record.marks.items():
            place = self._world.store.participants.get((user, name))
            if user == self._user and (place is None or place.read_seq < seq):
                self._violate("mark lost", f"{seq} of {name}: {place}")

    def _violate(self, kind: str, text: str) -> None:
        self._world.record.violate(kind, f"user {self._user}: {text}")


def _brief(message: Json) -> tuple[str, int | None, str, str, int | None]:
    return (
        message["messageId"],
        message["seq"],
        message["status"],
        message["content"],
        message["rev"],
    )
