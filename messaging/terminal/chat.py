"""Hold a user's chat: send what waits, learn what is new, and write lines of it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable

from messaging.terminal import screen
from messaging.terminal.api import Api, Away, Refused
from messaging.terminal.model import Conversation, Model

SHOWN = 20  # messages, when a conversation is opened
PRIVATE, GROUP, TEXT = 1, 2, 1


class Chat:
    """Hold one user's chat; a message waits in the outbox until the server has answered for it.

    `listed`: the conversations by their numbers in the list. `opened`: the open one.
    """

    def __init__(self, api: Api, write: Callable[[str], None]) -> None:
        self.api, self.write = api, write
        self.model = Model()
        self._names: dict[str, str] = {}
        self.listed: list[str] = []
        self.opened: str | None = None
        self._lines: dict[str, str] = {}  # shown of the open conversation, by message
        self._from_id = 0  # the first message of these
        self._unread: dict[str, object] = {}
        self._outbox: list[dict[str, object]] = []
        self._is_away = False
        self._has_begun = False
        self.own_id = ""

    def begin(self) -> None:
        """Learn who the user is, and what there is.

        Raises: Refused; Away.
        """
        me = self.api.get("/user/me")
        self.own_id = me["userId"]
        self._names[self.own_id] = "me"
        self.step()
        self._has_begun = True

    def step(self) -> None:
        """Send what waits, and learn what is new; a server that is away is asked again later."""
        try:
            self._send_waiting()
            while True:
                answer = self.api.post("/sync", cursor=self.model.cursor)
                self.model.apply(answer)
                if not answer["hasMore"]:
                    break
            self._know_names()
        except Away as away:
            if not self._is_away:
                self.write(f"! the server does not answer ({away}); going on when it does")
            self._is_away = True
            return
        if self._is_away:
            self.write("! the server answers again")
        self._is_away = False
        self._show_news()

    def _send_waiting(self) -> None:
        """Send the outbox; a conversation without a stored message is not told by sync yet.

        Raises: Away.
        """
        while self._outbox:
            try:
                sent = self.api.post("/message/send", **self._outbox[0])
                if sent["conversationId"] not in self.model.conversations:
                    self.write(f"me: {self._outbox[0]['content']} {screen.WAITS}")
            except Refused as refused:
                self.write(f"! not sent: {screen.clean(str(refused))}")
            del self._outbox[0]

    def _know_names(self) -> None:
        """Ask for the names of all users who are shown.

        Raises: Refused; Away.
        """
        wanted = set()
        for conversation in self.model.conversations.values():
            wanted.add(conversation.about["peerUserId"] or self.own_id)
            for message in conversation.in_order:
                wanted |= {message["fromUserId"], *(message["notice"] or {}).get("userIds", ())}
        self.learn(wanted)

    def learn(self, user_ids: Iterable[str]) -> None:
        unknown = sorted(set(user_ids) - self._names.keys())
        for at in range(0, len(unknown), 100):
            found = self.api.post("/user/get", userIds=unknown[at : at + 100])
            self._names |= {user["userId"]: user["username"] for user in found["list"]}
            self._names |= {user_id: f"user {user_id}" for user_id in found["missing"]}

    def _show_news(self) -> None:
        for name, conversation in self.model.conversations.items():
            unread = conversation.about["unread"]
            if name != self.opened and unread and unread != self._unread.get(name):
                number = screen.unread_number(conversation.about)
                self.write(f"* {self._title(conversation)}: {number} unread")
            elif name != self.opened and name not in self._unread and self._has_begun:
                self.write(f"* {self._title(conversation)}: new")
            self._unread[name] = unread
        if self.opened not in self.model.conversations and self._lines:
            self.write("* you are no longer in this conversation")
            self.opened, self._lines = None, {}
        self._show_open()

    def _show_open(self) -> None:
        """Write the lines of the open conversation that are new, or that have changed."""
        opened = self.model.conversations.get(self.opened or "")
        for message in () if opened is None else opened.in_order:
            if opened is None or int(message["messageId"]) < self._from_id:
                continue
            line = screen.message_line(
                message, opened.about, own_id=self.own_id, name_of=self.name_of
            )
            if self._lines.get(message["messageId"]) != line:
                self._lines[message["messageId"]] = line
                self.write(line)

    def open(self, name: str) -> None:
        self.opened, self._lines, self._from_id = name, {}, 0
        conversation = self.model.conversations.get(name)
        if conversation is None:
            self.write("--- nothing yet")
            return
        messages = conversation.in_order
        earlier = len(messages[:-SHOWN]) + sum(
            last - first + 1 for first, last in conversation.gaps
        )
        if messages[:-SHOWN]:
            self._from_id = int(messages[-SHOWN]["messageId"])
        more = f", {earlier} earlier messages" if earlier else ""
        self.write(f"--- {self._title(conversation)}{more}")
        self._show_open()

    def say(self, line: str) -> None:
        if not line:
            return
        body: dict[str, object] = {"msgType": TEXT, "content": line}
        body["clientMsgId"] = secrets.token_hex(16)
        if self.opened is None:
            self.write("! open a conversation first: /list, then /open")
            return
        if self.opened.startswith("g"):
            body |= {"chatType": GROUP, "groupId": self.opened[1:]}
        else:
            body |= {"chatType": PRIVATE, "toUserId": self._peer(self.opened)}
        self._outbox.append(body)
        self.step()

    def _peer(self, name: str) -> str:
        return next(iter(set(name.split("_")) - {self.own_id}), self.own_id)

    def id_of(self, name: str) -> str:
        """Return the id of the user of this name.

        Raises: Refused where there is none; Away.
        """
        user = self.api.get("/user/find", username=name)
        self._names.setdefault(user["userId"], user["username"])
        return str(user["userId"])

    def name_of(self, user_id: str) -> str:
        return self._names.get(user_id, f"user {user_id}")

    def _title(self, conversation: Conversation) -> str:
        return screen.title(conversation.about, self.name_of)
