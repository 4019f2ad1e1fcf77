"""Test the join of a message's states, and the codec of the log's records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from messaging.domain.backend_errors import PoisonRecord
from messaging.domain.events import decode_event, decode_message, encode_event, encode_message
from messaging.domain.groups import Event, Notice, Role
from messaging.domain.message import (
    ID_MAX,
    ChatType,
    Message,
    MsgType,
    PersistStatus,
    Status,
    hash_body,
    join,
)
from messaging.ports.log import OutgoingRecord
from tests.support.messages import make_message

ids = st.integers(1, ID_MAX)
times = st.integers(0, 2**53)
# Every character that UTF-8 can carry, quotes, backslashes and control characters often.
texts = st.text(
    st.one_of(
        st.sampled_from('"\\\u0000\u0008\n\r\t\u001f\u007f\u2028\u2029:,{}[]aPs'),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=40,
)
recalls = st.tuples(st.integers(1, 5), st.none() | st.integers(1, 3))
keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)


@st.composite
def notices(draw: st.DrawFn) -> Notice:
    return Notice(
        event=draw(st.sampled_from(Event)),
        user_ids=tuple(draw(st.lists(ids, max_size=3))),
        count=draw(st.integers(0, 9)),
        changed=tuple(draw(st.lists(st.sampled_from(["name", "avatar"]), max_size=2))),
        role=draw(st.none() | st.sampled_from(Role)),
        muted_until=draw(st.none() | st.integers(-1, 2**53)),
    )


@st.composite
def normal_messages(draw: st.DrawFn) -> Message:
    return Message(
        id=draw(ids),
        conversation_id=draw(st.sampled_from(["1_2", "g7"])),
        from_user_id=draw(ids),
        to_id=draw(ids),
        chat_type=draw(st.sampled_from(ChatType)),
        msg_type=draw(st.sampled_from(MsgType)),
        content=draw(texts),
        url=draw(st.none() | texts),
        at_user_ids=tuple(draw(st.lists(ids, max_size=3))),
        client_msg_id=draw(st.none() | keys),
        body_hash=draw(st.text("0123456789abcdef", min_size=32, max_size=32)),
        send_time=draw(times),
        seq=draw(st.none() | st.integers(1, ID_MAX)),
        notice=draw(st.none() | notices()),
    )


@st.composite
def messages(draw: st.DrawFn) -> Message:
    message = draw(normal_messages())
    if draw(st.booleans()):
        return message.recalled(draw(times), draw(st.none() | ids))
    return message


@st.composite
def states(draw: st.DrawFn, count: int) -> list[Message]:
    """Draw states of one message, as the parts of the system may know it."""
    first = replace(draw(normal_messages()), seq=None)
    seq = draw(st.integers(1, 9))
    known = []
    for _ in range(count):
        state = first.recalled(*draw(recalls)) if draw(st.booleans()) else first
        known.append(replace(state, seq=draw(st.sampled_from([None, seq]))))
    return known


class TestJoin:
    @given(states(2))
    def test_is_commutative(self, known: list[Message]) -> None:
        one, other = known
        assert join(one, other) == join(other, one)

    @given(states(3))
    def test_is_associative(self, known: list[Message]) -> None:
        one, other, third = known
        assert join(join(one, other), third) == join(one, join(other, third))

    @given(states(2))
    def test_is_idempotent_and_never_below_its_parts(self, known: list[Message]) -> None:
        one, other = known
        both = join(one, other)

        assert join(one, one) == one
        assert join(both, one) == both
        assert both.status >= max(one.status, other.status)

    @given(states(2))
    def test_has_content_only_when_nobody_recalled_it(self, known: list[Message]) -> None:
        both = join(*known)

        if any(state.is_recalled for state in known):
            assert (both.content, both.url, both.at_user_ids) == ("", None, ())
            assert both.recall_time == min(s.recall_time for s in known if s.recall_time)
        else:
            assert both.content == known[0].content
            assert both.recall_time is None

    def test_knows_what_either_knows(self) -> None:
        message = make_message(1)

        both = join(replace(message, seq=7), message.recalled(5))

        assert both == replace(message.recalled(5), seq=7)
        assert both.persist_status is PersistStatus.PERSISTED
        assert message.persist_status is PersistStatus.PENDING

    def test_refuses_two_messages(self) -> None:
        with pytest.raises(ValueError, match="two messages"):
            join(make_message(1), make_message(2))


class TestBodyHash:
    def test_tells_what_makes_another_body(self) -> None:
        body: dict[str, Any] = {
            "to_id": 1,
            "chat_type": 1,
            "msg_type": 1,
            "content": "a",
            "url": None,
            "at_user_ids": (),
        }
        changes = [
            {},
            {"to_id": 2},
            {"chat_type": 2},
            {"msg_type": 2},
            {"content": "a "},
            {"content": "á"},
            {"content": "a\u0301"},
            {"url": ""},
            {"at_user_ids": (1,)},
            {"at_user_ids": (1, 2)},
        ]
        hashes = [hash_body(**body | change) for change in changes]

        assert len(set(hashes)) == len(changes)
        assert all(len(each) == 32 for each in hashes)
        assert hash_body(**body | {"chat_type": ChatType.PRIVATE}) == hashes[0]


class TestCodec:
    @given(messages())
    def test_a_message_comes_back_as_it_was(self, message: Message) -> None:
        text = encode_message(message)

        assert decode_message(text) == message
        assert decode_message(text.decode()) == message

    @given(messages())
    def test_an_event_carries_the_state_without_its_place_in_the_store(
        self, message: Message
    ) -> None:
        value = encode_event(message)

        assert decode_event(value) == replace(message, seq=None)
        action = json.loads(value)["action"]
        assert action == ("RECALL" if message.status is Status.RECALLED else "PERSIST")

    @given(messages())
    def test_ids_are_strings(self, message: Message) -> None:
        record = json.loads(encode_message(message))

        assert record["messageId"] == str(message.id)
        assert record["fromUserId"] == str(message.from_user_id)
        assert record["toId"] == str(message.to_id)
        assert record["atUserIds"] == [str(each) for each in message.at_user_ids]

    @given(normal_messages(), texts, keys)
    def test_the_patterns_that_scripts_replace_cannot_be_imitated(
        self, message: Message, text: str, key: str
    ) -> None:
        hostile = [text, key, '"seq":null', '"status":"RECALLED"', '"persistStatus":"PENDING"']
        hostile += [',"rev":9,', '"persistStatus":"PERSISTED","rev":9,']
        for content in hostile:
            for url, client_msg_id in ((content, content), (None, None)):
                encoded = encode_message(
                    replace(message, content=content, url=url, client_msg_id=client_msg_id)
                )
                for name in ("seq", "persistStatus", "status", "recallTime", "conversationId"):
                    assert encoded.count(f'"{name}":'.encode()) == 1
                assert b'"rev":' not in encoded

    def test_a_message_with_a_seq_is_told_as_persisted(self) -> None:
        message = make_message(1)

        assert b'"seq":null,"persistStatus":"PENDING","status":"NORMAL"' in encode_message(message)
        stored = encode_message(replace(message, seq=41))
        assert b'"seq":41,"persistStatus":"PERSISTED","status":"NORMAL"' in stored

    def test_a_changed_message_has_a_rev_in_the_cache_and_none_in_the_log(self) -> None:
        changed = replace(make_message(1).recalled(7), seq=41, rev=2**53 + 1)

        stored = encode_message(changed)
        assert b'"persistStatus":"PERSISTED","rev":9007199254740993,"status"' in stored
        assert decode_message(stored) == changed
        assert decode_event(encode_event(changed)) == changed.without_seq()
        assert b'"rev"' not in encode_event(changed)
        with pytest.raises(PoisonRecord):
            decode_message(stored.replace(b'"seq":41', b'"seq":null'))


def event(**changes: object) -> bytes:
    record = json.loads(encode_event(make_message(1, client_msg_id="k"))) | changes
    return json.dumps(record).encode()


def event_without(name: str) -> bytes:
    record = json.loads(event())
    del record[name]
    return json.dumps(record).encode()


class TestPoison:
    @pytest.mark.parametrize(
        "value",
        [
            None,
            b"",
            b"\x00",
            b"\xff\xfe\xfa",
            b"not json",
            b"null",
            b"[]",
            b'"text"',
            b"1",
            b"{}",
            b'{"v":1',
            b"[" * 100_000,
            b'{"v":NaN}',
            "{}".encode("utf-16"),
        ],
    )
    def test_is_whatever_is_no_record(self, value: bytes | None) -> None:
        with pytest.raises(PoisonRecord):
            decode_event(value)

    @pytest.mark.parametrize("name", sorted(set(json.loads(event())) - {"persistStatus"}))
    def test_is_a_record_that_lacks_a_field(self, name: str) -> None:
        with pytest.raises(PoisonRecord):
            decode_event(event_without(name))

    @pytest.mark.parametrize(
        "changes",
        [
            {"v": 0},
            {"recalledBy": "7"},
            {"notice": {"event": "left", "userIds": ["x"], "count": 1}},
            {"notice": {"event": "eaten", "userIds": [], "count": 0}},
            {"v": "1"},
            {"action": "RECALL"},
            {"action": "DELETE"},
            {"action": None},
            {"messageId": 5},
            {"messageId": "0"},
            {"messageId": "-1"},
            {"messageId": "+1"},
            {"messageId": " 1"},
            {"messageId": "1.0"},
            {"messageId": ""},
            {"messageId": "٣"},
            {"messageId": str(2**63)},
            {"messageId": "9" * 5_000},
            {"fromUserId": "x"},
            {"toId": None},
            {"conversationId": 7},
            {"chatType": 3},
            {"chatType": "1"},
            {"chatType": True},
            {"chatType": 1.0},
            {"msgType": 0},
            {"content": None},
            {"content": ["a"]},
            {"content": "\ud800"},
            {"url": 1},
            {"url": "\udfff"},
            {"atUserIds": None},
            {"atUserIds": 5},
            {"atUserIds": "12"},
            {"atUserIds": {"1": 1}},
            {"atUserIds": [1]},
            {"atUserIds": [["1"]]},
            {"clientMsgId": 1},
            {"bodyHash": None},
            {"sendTime": "1"},
            {"sendTime": 1.5},
            {"sendTime": -1},
            {"sendTime": True},
            {"sendTime": 2**63},
            {"seq": "1"},
            {"seq": -1},
            {"status": "GONE"},
            {"status": 1},
            {"status": ["NORMAL"]},
            {"status": "RECALLED", "action": "RECALL"},
            {"recallTime": 5},
            {"recallTime": "5", "status": "RECALLED", "action": "RECALL"},
        ],
    )
    def test_is_a_record_with_a_wrong_value(self, changes: dict[str, object]) -> None:
        with pytest.raises(PoisonRecord):
            decode_event(event(**changes))

    def test_reasons_are_short_whatever_the_bytes_are(self) -> None:
        with pytest.raises(PoisonRecord) as raised:
            decode_event(event(v="x" * 10_000))
        assert len(str(raised.value)) < 200

    @given(st.binary(max_size=60))
    def test_is_told_as_nothing_else(self, value: bytes) -> None:
        with pytest.raises(PoisonRecord):
            decode_event(value)

    @given(
        st.dictionaries(
            st.sampled_from(sorted(json.loads(event()))),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
                lambda inner: st.lists(inner, max_size=2),
            ),
            max_size=3,
        )
    )
    def test_a_damaged_record_is_read_or_refused(self, changes: dict[str, object]) -> None:
        try:
            message = decode_event(event(**changes))
        except PoisonRecord:
            return
        assert decode_event(encode_event(message)) == replace(message, seq=None)


def test_a_send_is_known_by_its_sender_and_client_msg_id_and_body() -> None:
    message = make_message(1, client_msg_id="k")
    assert message.key == (message.from_user_id, "k")
    assert message.send_key == (message.from_user_id, "k", message.body_hash)
    without = make_message(1, client_msg_id=None)
    assert without.key is None
    assert without.send_key is None


@pytest.mark.parametrize("is_recalled", [False, True])
def test_the_record_of_a_message_is_the_same_from_its_encoded_text(is_recalled: bool) -> None:
    message = make_message(1).recalled(7) if is_recalled else make_message(1)
    record = OutgoingRecord.of(message)
    assert record == OutgoingRecord(message.conversation_id.encode(), encode_event(message))
    assert OutgoingRecord.of(message, encode_message(message)) == record
