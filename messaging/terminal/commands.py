"""Carry out typed lines: each command is one call of the API, or few."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Mapping

from messaging.terminal import screen
from messaging.terminal.api import Away, Refused
from messaging.terminal.chat import Chat
from messaging.terminal.model import Conversation, Json

POLL_S = 0.5
MUTE_S = 600
HELP = """\
  /list               list the conversations, with their unread messages
  /open N or NAME     open a conversation of the list, or the one with a user
  a plain line        send the line to the open conversation
  /read               mark the open conversation as read
  /who                list the members of the open group
  /group NAME USER…   make a group of these users, and open it
  /invite USER…       add users to the open group
  /mute USER [S]      let a member be silent for S seconds (600; 0: no longer)
  /remove USER…       remove members of the open group
  /leave              leave the open group
  /quit               end; what was sent stays sent
Ticks of own messages: … accepted, ✓ stored, ✓✓ delivered, ✓✓ read."""


def carry_out(chat: Chat, line: str) -> bool:
    """Carry out a typed line; return False where the user wants to end."""
    verb, *words = line.split() or [""]
    if verb == "/quit":
        return False
    try:
        if not verb.startswith("/"):
            chat.say(line)
        elif (command := COMMANDS.get(verb[1:])) is not None:
            command(chat, words)
        else:
            chat.write(HELP)
    except Refused as refused:
        chat.write(f"! {screen.clean(str(refused))}")
    except Away as away:
        chat.write(f"! the server does not answer ({away}); try again")
    return True


def list_conversations(chat: Chat, _words: list[str]) -> None:
    known = chat.model.conversations
    shown = [name for name, each in known.items() if not each.about["isHidden"]]
    chat.listed = sorted(shown, key=lambda name: _place(known[name]), reverse=True)
    for number, name in enumerate(chat.listed, 1):
        line = screen.list_line(number, known[name], own_id=chat.own_id, name_of=chat.name_of)
        chat.write(line)
    chat.write("/open N or NAME opens a conversation, /help tells the rest")


def _open(chat: Chat, words: list[str]) -> None:
    wanted = words[0] if words else ""
    if wanted.isdigit() and 1 <= int(wanted) <= len(chat.listed):
        chat.open(chat.listed[int(wanted) - 1])
    else:
        low, high = sorted((int(chat.own_id), int(chat.id_of(wanted))))
        chat.open(f"{low}_{high}")


def _read(chat: Chat, _words: list[str]) -> None:
    conversation = chat.model.conversations.get(chat.opened or "")
    if conversation is not None:
        item = {"conversationId": chat.opened, "readSeq": max(1, conversation.about["lastSeq"])}
        chat.api.post("/conversation/receipts", items=[item])
        chat.step()


def _who(chat: Chat, _words: list[str]) -> None:
    query: dict[str, object] = {"groupId": _group(chat), "size": 100}
    while True:
        page = chat.api.get("/group/members", **query)
        chat.learn(member["userId"] for member in page["list"])
        for member in page["list"]:
            chat.write(f"  {chat.name_of(member['userId'])} ({member['role']})")
        if not page["hasMore"]:
            break
        query["after"] = page["nextAfter"]


def _make_group(chat: Chat, words: list[str]) -> None:
    ids = [chat.id_of(word) for word in words[1:]]
    made = chat.api.post("/group/create", name=words[0] if words else "", memberIds=ids)
    _tell_refused(chat, made)
    chat.step()
    chat.open(f"g{made['group']['groupId']}")


def _invite(chat: Chat, words: list[str]) -> None:
    _change(chat, "invite", userIds=[chat.id_of(word) for word in words])


def _remove(chat: Chat, words: list[str]) -> None:
    _change(chat, "remove", userIds=[chat.id_of(word) for word in words])


def _mute(chat: Chat, words: list[str]) -> None:
    for_s = int(words[1]) if words[1:] and words[1].isdecimal() else MUTE_S
    _change(chat, "mute", userId=chat.id_of(words[0] if words else ""), forS=for_s)


def _leave(chat: Chat, _words: list[str]) -> None:
    _change(chat, "leave")


def _change(chat: Chat, verb: str, **body: object) -> None:
    """Change the open group, and tell whom the server has refused."""
    _tell_refused(chat, chat.api.post(f"/group/{verb}", groupId=_group(chat), **body))
    chat.step()


def _tell_refused(chat: Chat, answer: Json) -> None:
    for refusal in answer.get("refused", ()):
        chat.write(f"! {chat.name_of(refusal['userId'])}: refused ({refusal['code']})")


def _group(chat: Chat) -> str:
    """Return the id of the open group.

    Raises: Refused.
    """
    if chat.opened is None or not chat.opened.startswith("g"):
        raise Refused(0, "open a group first")
    return chat.opened[1:]


def _place(conversation: Conversation) -> tuple[int, int]:
    about = conversation.about
    return about["pinTime"] or 0, about["lastActive"] or 0


COMMANDS: Mapping[str, Callable[[Chat, list[str]], None]] = {
    "list": list_conversations,
    "open": _open,
    "read": _read,
    "who": _who,
    "group": _make_group,
    "invite": _invite,
    "mute": _mute,
    "remove": _remove,
    "leave": _leave,
}


def run(chat: Chat, keyboard: int) -> None:
    """Carry out the lines of a file descriptor, and look for news in between, until its end.

    Raises: Refused where the user's token counts no more.
    """
    typed = b""
    while True:
        ready, _, _ = select.select([keyboard], [], [], POLL_S)
        read = os.read(keyboard, 4096) if ready else b""
        *lines, typed = (typed + read).split(b"\n")
        for line in lines:
            if not carry_out(chat, line.decode(errors="replace").strip()):
                return
        chat.step()
        if ready and not read:
            return
