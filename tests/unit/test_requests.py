"""Test the shape of requests: which are taken, which are refused, and that the field is named."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.conf import MAX_PAGED_MESSAGES
from messaging.domain.errors import InvalidInput
from messaging.domain.message import ChatType, MsgType
from messaging.domain.request_fields import FieldError
from messaging.domain.requests import (
    Ack,
    Credentials,
    HistoryRequest,
    SendRequest,
    parse_credentials,
    parse_history,
    parse_message_id,
    parse_message_reference,
    parse_send,
)
from messaging.limits import MAX_LOGIN_NAME_CHARACTERS, MAX_PASSWORD_BYTES

ID_MAX = 2**63 - 1
TEXT: dict[str, Any] = {"toUserId": "2", "chatType": 1, "msgType": 1, "content": "hi"}
IMAGE: dict[str, Any] = {"toUserId": "2", "chatType": 1, "msgType": 2, "url": "/media/cat.png"}
GROUP: dict[str, Any] = {"groupId": "7", "chatType": 2, "msgType": 1, "content": "hi"}
FAMILY = "👩‍👩‍👧‍👦"
RTL = "\u200fשלום \u202bעולם\u202c"


def brief(value: object) -> str:
    """Return a test case's name, short and printable for long and unprintable values too."""
    return ascii(value)[:30]


def errors_of(parse: Any, given_input: object) -> dict[str, list[str]]:
    with pytest.raises(InvalidInput) as refused:
        parse(given_input)
    return {field: list(texts) for field, texts in refused.value.errors.items()}


def send(**changes: Any) -> SendRequest:
    return parse_send(TEXT | changes)


class TestASend:
    def test_is_taken_as_it_was_sent(self) -> None:
        assert parse_send(TEXT) == SendRequest(
            chat_type=ChatType.PRIVATE,
            target_id=2,
            msg_type=MsgType.TEXT,
            content="hi",
            url=None,
            at_user_ids=(),
            client_msg_id=None,
            ack=Ack.LOG,
        )

    def test_takes_every_optional_field(self) -> None:
        request = parse_send(
            GROUP | {"atUserIds": ["3", 4], "clientMsgId": "a b~", "ack": "store", "url": "/x"}
        )
        assert (request.target_id, request.chat_type) == (7, ChatType.GROUP)
        assert request.at_user_ids == (3, 4)
        assert (request.client_msg_id, request.ack, request.url) == ("a b~", Ack.STORE, "/x")

    def test_ignores_unknown_fields(self) -> None:
        assert send(colour="red", nested={"a": [1]}) == parse_send(TEXT)

    def test_takes_null_for_absent(self) -> None:
        nothing = dict.fromkeys(("groupId", "url", "atUserIds", "clientMsgId", "ack"))
        assert send(**nothing) == parse_send(TEXT)

    def test_names_every_wrong_field_at_once(self) -> None:
        wrong = {"toUserId": 0, "chatType": 3, "msgType": "1", "content": 5, "url": "ftp://a/b"}
        wrong |= {"atUserIds": "2", "clientMsgId": "", "ack": "soon"}
        assert set(errors_of(parse_send, wrong)) == set(wrong)

    def test_names_every_missing_field_at_once(self) -> None:
        assert set(errors_of(parse_send, {})) == {"toUserId", "chatType", "msgType"}

    @pytest.mark.parametrize("body", [[], "text", 1, None, True, [TEXT]])
    def test_is_an_object(self, body: object) -> None:
        assert errors_of(parse_send, body) == {"body": [FieldError.BODY_NOT_OBJECT]}


class TestTheReceiver:
    @pytest.mark.parametrize("value", [1, "1", 2**53 + 1, ID_MAX, str(ID_MAX)], ids=brief)
    def test_is_an_integer_or_its_digits(self, value: object) -> None:
        assert send(toUserId=value).target_id == int(str(value))

    @pytest.mark.parametrize(
        "value",
        [
            *(0, -1, 2**63, 2**64, 10**30, True, False, 1.0, 1.5, 1e3, float("inf")),
            *("", "0", "-1", "+1", " 1", "1 ", "1\n", "01", "1.0", "1e3", "0x1", "1_000", "abc"),
            *(str(2**63), "9" * 19, "9" * 5000, "١", "１", "²", "১২", "\x001"),
            *([], ["1"], {}, {"id": 1}),
        ],
        ids=brief,
    )
    def test_is_refused_when_it_is_not_an_id(self, value: object) -> None:
        assert errors_of(parse_send, TEXT | {"toUserId": value}) == {
            "toUserId": [FieldError.NOT_AN_ID]
        }

    def test_is_missing(self) -> None:
        private = {"chatType": 1, "msgType": 1, "content": "hi"}
        assert errors_of(parse_send, private) == {"toUserId": [FieldError.RECEIVER_MISSING]}
        group = private | {"chatType": 2}
        assert errors_of(parse_send, group) == {"groupId": [FieldError.RECEIVER_MISSING]}

    @pytest.mark.parametrize("chat_type", [1, 2])
    def test_is_not_two(self, chat_type: int) -> None:
        both = TEXT | {"groupId": "7", "chatType": chat_type}
        assert set(errors_of(parse_send, both)) == {"toUserId", "groupId"}

    def test_is_of_the_kind_of_the_chat(self) -> None:
        assert errors_of(parse_send, GROUP | {"chatType": 1}) == {
            "groupId": [FieldError.RECEIVER_PRIVATE]
        }
        assert errors_of(parse_send, TEXT | {"chatType": 2}) == {
            "toUserId": [FieldError.RECEIVER_GROUP]
        }


class TestTheTypes:
    @pytest.mark.parametrize(
        "value", [0, 3, -1, 1.0, 1.5, True, "1", "", [], {}, [1], 10**30], ids=brief
    )
    def test_of_chat_are_1_and_2_as_integers(self, value: object) -> None:
        assert errors_of(parse_send, TEXT | {"chatType": value}) == {
            "chatType": [FieldError.CHAT_TYPE]
        }

    @pytest.mark.parametrize(
        "value", [0, 6, 9, -1, 1.0, True, "1", "", [], {}, [1], 10**30], ids=brief
    )
    def test_of_message_are_1_to_5_as_integers(self, value: object) -> None:
        assert errors_of(parse_send, TEXT | {"msgType": value}) == {
            "msgType": [FieldError.MSG_TYPE]
        }

    @pytest.mark.parametrize("value", [2, 3, 4, 5], ids=brief)
    def test_of_message_beside_text_need_an_address(self, value: int) -> None:
        assert parse_send(IMAGE | {"msgType": value}).msg_type == value
        without = {"toUserId": "2", "chatType": 1, "msgType": value, "content": "a caption"}
        assert errors_of(parse_send, without) == {"url": [FieldError.REQUIRED]}
        assert errors_of(parse_send, without | {"url": ""}) == {"url": [FieldError.REQUIRED]}


class TestTheContent:
    @pytest.mark.parametrize(
        "text",
        [
            *(" hi ", "\n\tx", FAMILY, RTL, "e\u0301", "Ａ", "\u0301", "'; DROP TABLE message; --"),
            *(
                "<script>alert(1)</script>",
                "100%_\\",
                "a\x01\x7f",
                "0",
                "null",
                "\ufeffx",
                "\u2800x",
            ),
            *("a" * 5000, "\u00e9" * 5000, "\u4e2d" * 5000, "😀" * 4096),
        ],
        ids=brief,
    )
    def test_comes_out_as_it_went_in(self, text: str) -> None:
        assert send(content=text).content == text

    @pytest.mark.parametrize(
        "text",
        [
            *("", " ", "\t\r\n", "\u00a0\u3000\u2003", "\u200b", "\u200d\u200c\ufeff", "\u00ad"),
            *("\u3164", "\u115f\u1160", "\u2800", "\uffa0", "\u034f", "\ufe0f", "\U000e0020"),
            *("\u2028\u2029", "\u202e", "\x01\x1f", "\x85", "\u180e\u180b", " \u3164\u200b " * 99),
        ],
        ids=brief,
    )
    def test_of_text_shows_something(self, text: str) -> None:
        assert errors_of(parse_send, TEXT | {"content": text}) == {"content": [FieldError.BLANK]}

    @pytest.mark.parametrize("caption", ["", " ", "\u200b", "look"])
    def test_of_a_picture_may_be_anything(self, caption: str) -> None:
        assert parse_send(IMAGE | {"content": caption}).content == caption

    def test_of_a_picture_may_be_absent(self) -> None:
        assert parse_send(IMAGE).content == ""

    @pytest.mark.parametrize("absent", [{}, {"content": None}])
    def test_of_text_is_needed(self, absent: dict[str, None]) -> None:
        body = {"toUserId": "2", "chatType": 1, "msgType": 1} | absent
        assert errors_of(parse_send, body) == {"content": [FieldError.REQUIRED]}

    @pytest.mark.parametrize("value", [5, 1.5, True, [], ["hi"], {}], ids=brief)
    def test_is_text(self, value: object) -> None:
        for body in (TEXT, IMAGE):
            assert errors_of(parse_send, body | {"content": value}) == {
                "content": [FieldError.NOT_TEXT]
            }

    @pytest.mark.parametrize(
        ("text", "refusal"),
        [
            ("a" * 5001, FieldError.CONTENT_TOO_LONG),
            ("😀" * 4096 + "a", FieldError.CONTENT_TOO_LARGE),
            ("a\0b", FieldError.NUL),
            ("a\ud800b", FieldError.SURROGATE),
            ("\udfff", FieldError.SURROGATE),
        ],
        ids=brief,
    )
    def test_is_within_the_limits(self, text: str, refusal: FieldError) -> None:
        for body in (TEXT, IMAGE):
            assert errors_of(parse_send, body | {"content": text}) == {"content": [refusal]}


class TestTheAddress:
    @pytest.mark.parametrize(
        "url",
        [
            *(
                "/",
                "/media/a%20b.png?x=1#y",
                "http://a",
                "HTTPS://A.example:8443/x",
                "http://[::1]/",
            ),
            *("https://例え.jp/図.png", "http://a/?q=//b", "/a//b", "/" + "a" * 2047),
        ],
        ids=brief,
    )
    def test_is_taken_as_it_was_sent(self, url: str) -> None:
        assert parse_send(IMAGE | {"url": url}).url == url

    @pytest.mark.parametrize(
        "url",
        [
            *("a.png", "./a", "?x", "//evil.example/a", "///a", "/\\evil.example", "http:\\\\a"),
            *(
                "javascript:alert(1)",
                "data:text/html,x",
                "ftp://a/b",
                "file:///etc/passwd",
                "ws://a",
            ),
            *("http:", "http://", "http:///a", "http:a", "http:/a", "http://:80", "http://@/"),
            *("http://a:port/", "http://a:99999/", "http://[::1", "http://[a]/", "://a", "https"),
            *(
                " http://a",
                "http://a ",
                "http://a/b c",
                "/a b",
                "/a\nb",
                "/a\tb",
                "/a\x7f",
                "/\u3000",
            ),
            *("java\nscript:alert(1)", "http://a/\u202egnp", "/\u200b", "http://a\u2100b/"),
        ],
        ids=brief,
    )
    def test_is_http_or_a_path_of_this_site(self, url: str) -> None:
        assert errors_of(parse_send, IMAGE | {"url": url}) == {"url": [FieldError.URL]}

    @pytest.mark.parametrize(
        ("url", "refusal"),
        [
            ("/" + "a" * 2048, FieldError.URL_TOO_LONG),
            ("/a\0", FieldError.NUL),
            ("/a\ud800", FieldError.SURROGATE),
            (5, FieldError.NOT_TEXT),
            (["/a"], FieldError.NOT_TEXT),
        ],
        ids=brief,
    )
    def test_is_text_within_the_limits(self, url: object, refusal: FieldError) -> None:
        assert errors_of(parse_send, IMAGE | {"url": url}) == {"url": [refusal]}

    def test_of_a_text_message_may_be_empty(self) -> None:
        assert send(url="").url is None


class TestTheMentionedUsers:
    def test_are_each_taken_once_in_their_order(self) -> None:
        assert send(atUserIds=["3", 1, 3, "1", 2]).at_user_ids == (3, 1, 2)

    def test_are_a_hundred_at_most(self) -> None:
        assert len(send(atUserIds=list(range(1, 101))).at_user_ids) == 100
        assert errors_of(parse_send, TEXT | {"atUserIds": [1] * 101}) == {
            "atUserIds": [FieldError.TOO_MANY_IDS]
        }

    @pytest.mark.parametrize("value", ["1", 1, {"1": 2}, True, 1.0], ids=brief)
    def test_are_a_list(self, value: object) -> None:
        assert errors_of(parse_send, TEXT | {"atUserIds": value}) == {
            "atUserIds": [FieldError.NOT_A_LIST]
        }

    @pytest.mark.parametrize("value", [0, "01", None, 1.0, True, [1], "١", 2**63], ids=brief)
    def test_are_ids(self, value: object) -> None:
        assert errors_of(parse_send, TEXT | {"atUserIds": [1, value]}) == {
            "atUserIds": [FieldError.NOT_AN_ID]
        }


class TestTheClientMsgId:
    @pytest.mark.parametrize("value", ["a", "A b~!", "x" * 64, " "], ids=brief)
    def test_is_taken_as_it_was_sent(self, value: str) -> None:
        assert send(clientMsgId=value).client_msg_id == value

    @pytest.mark.parametrize(
        "value", ["", "x" * 65, "é", "a\n", "a\0", "\x7f", "\ud800", 5, [], {}], ids=brief
    )
    def test_is_1_to_64_printable_ascii_characters(self, value: object) -> None:
        assert errors_of(parse_send, TEXT | {"clientMsgId": value}) == {
            "clientMsgId": [FieldError.CLIENT_MSG_ID]
        }


@pytest.mark.parametrize("value", ["", "LOG", "none", " log", 1, True, [], ["log"], {}])
def test_an_unknown_ack_is_refused(value: object) -> None:
    assert errors_of(parse_send, TEXT | {"ack": value}) == {"ack": [FieldError.ACK]}


class TestAMessageId:
    def test_in_a_path_is_digits(self) -> None:
        assert parse_message_id(str(ID_MAX)) == ID_MAX

    @pytest.mark.parametrize(
        "value", ["", "0", "abc", "1.0", "-1", "٣", str(2**63), "send"], ids=brief
    )
    def test_in_a_path_is_named_when_it_is_wrong(self, value: str) -> None:
        assert errors_of(parse_message_id, value) == {"messageId": [FieldError.NOT_AN_ID]}

    def test_in_a_body_is_an_integer_or_digits(self) -> None:
        assert parse_message_reference({"messageId": 5, "other": 1}) == 5
        assert parse_message_reference({"messageId": "5"}) == 5

    @pytest.mark.parametrize("body", [{}, {"messageId": None}])
    def test_in_a_body_is_needed(self, body: object) -> None:
        assert errors_of(parse_message_reference, body) == {"messageId": [FieldError.REQUIRED]}

    def test_in_a_body_is_named_when_it_is_wrong(self) -> None:
        assert errors_of(parse_message_reference, {"messageId": 1.0}) == {
            "messageId": [FieldError.NOT_AN_ID]
        }
        assert errors_of(parse_message_reference, []) == {"body": [FieldError.BODY_NOT_OBJECT]}


class TestAHistoryRequest:
    QUERY: ClassVar[dict[str, str]] = {"targetId": "2", "chatType": "1"}

    def test_is_the_first_page_unless_told_otherwise(self) -> None:
        assert parse_history(self.QUERY) == HistoryRequest(
            chat_type=ChatType.PRIVATE, target_id=2, size=20, page=1, before_id=None
        )

    def test_goes_by_page(self) -> None:
        request = parse_history(self.QUERY | {"page": "100", "size": "100"})
        assert (request.page, request.size, request.before_id) == (100, 100, None)

    def test_goes_by_cursor(self) -> None:
        request = parse_history({"targetId": "7", "chatType": "2", "beforeId": "9", "size": "1"})
        assert (request.page, request.size, request.before_id) == (None, 1, 9)
        assert request.chat_type is ChatType.GROUP

    def test_does_not_go_by_both(self) -> None:
        both = self.QUERY | {"page": "1", "beforeId": "9"}
        assert errors_of(parse_history, both) == {
            "page": [FieldError.PAGE_OR_CURSOR],
            "beforeId": [FieldError.PAGE_OR_CURSOR],
        }

    def test_names_all_that_is_missing_or_wrong(self) -> None:
        assert set(errors_of(parse_history, {})) == {"targetId", "chatType"}
        wrong = {"targetId": "x", "chatType": "3", "size": "0", "page": "-1"}
        assert set(errors_of(parse_history, wrong)) == set(wrong)
        assert errors_of(parse_history, self.QUERY | {"beforeId": "0"}) == {
            "beforeId": [FieldError.NOT_AN_ID]
        }

    @pytest.mark.parametrize(
        "value", ["", "0", "-1", "101", "1.0", " 1", "1e1", "٣", "1" * 5000], ids=brief
    )
    def test_has_a_size_of_1_to_100(self, value: str) -> None:
        assert errors_of(parse_history, self.QUERY | {"size": value}) == {"size": [FieldError.SIZE]}

    @pytest.mark.parametrize(
        "value", ["", "0", "-1", "1.5", "one", "٣", "1" * 5000, "1 "], ids=brief
    )
    def test_has_a_page_from_1(self, value: str) -> None:
        assert errors_of(parse_history, self.QUERY | {"page": value}) == {"page": [FieldError.PAGE]}

    @pytest.mark.parametrize(("page", "size"), [(501, 20), (MAX_PAGED_MESSAGES + 1, 1), (101, 100)])
    def test_does_not_page_deep(self, page: int, size: int) -> None:
        deep = self.QUERY | {"page": str(page), "size": str(size)}
        assert errors_of(parse_history, deep) == {"page": [FieldError.PAGE_TOO_DEEP]}

    @pytest.mark.parametrize("value", ["", "0", "01", "1.0", "٢", "private"], ids=brief)
    def test_has_a_chat_type(self, value: str) -> None:
        assert errors_of(parse_history, self.QUERY | {"chatType": value}) == {
            "chatType": [FieldError.CHAT_TYPE]
        }


class TestCredentials:
    def test_keep_the_password_and_compose_the_name(self) -> None:
        taken = parse_credentials({"username": "Ａda", "password": " p\u00a0w "})
        assert taken == Credentials(username="Ada", password=" p\u00a0w ")

    def test_are_both_named_when_they_are_wrong(self) -> None:
        assert set(errors_of(parse_credentials, {})) == {"username", "password"}
        assert errors_of(parse_credentials, {"username": 5, "password": "a\0"}) == {
            "username": [FieldError.NOT_TEXT],
            "password": [FieldError.NUL],
        }

    def test_within_their_limits_are_taken(self) -> None:
        name, password = "\u00e9" * MAX_LOGIN_NAME_CHARACTERS, "\u00e9" * (MAX_PASSWORD_BYTES // 2)
        taken = parse_credentials({"username": name, "password": password})
        assert taken == Credentials(username=name, password=password)

    @pytest.mark.parametrize(
        "name",
        [
            "a" * (MAX_LOGIN_NAME_CHARACTERS + 1),
            "a" + "\u0301" * 32_000 + "\u0316" * 32_000,  # normalising this name would take 12 s
            # Each of these characters becomes 18 letters.
            "\ufdfa" * (MAX_LOGIN_NAME_CHARACTERS // 18 + 1),
            "\ud800" * (MAX_LOGIN_NAME_CHARACTERS + 1),
        ],
        ids=brief,
    )
    def test_past_their_limits_are_refused_by_their_length(self, name: str) -> None:
        too_large = ["a" * (MAX_PASSWORD_BYTES + 1), "\u00e9" * (MAX_PASSWORD_BYTES // 2 + 1)]
        for password in too_large:
            assert errors_of(parse_credentials, {"username": name, "password": password}) == {
                "username": [FieldError.NAME_TOO_LONG],
                "password": [FieldError.PASSWORD_TOO_LARGE],
            }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
KNOWN_FIELDS = st.sampled_from(
    [
        *("toUserId", "groupId", "chatType", "msgType", "content", "url", "atUserIds"),
        *("clientMsgId", "ack", "messageId", "username", "password"),
        *("targetId", "page", "size", "beforeId"),
    ]
)
LIKELY = st.sampled_from([1, 2, "1", "/a", "hi", [1], None, "http://a", "log", "a\ud800"])


@given(body=JSON | st.dictionaries(KNOWN_FIELDS, LIKELY | JSON))
def test_any_json_gives_a_request_or_names_what_is_wrong(body: object) -> None:
    for parse in (parse_send, parse_message_reference, parse_credentials):
        try:
            parse(body)
        except InvalidInput as refused:
            assert refused.errors
            assert all(texts for texts in refused.errors.values())


@given(query=st.dictionaries(KNOWN_FIELDS, st.text() | st.from_regex(r"[0-9]{1,30}")))
def test_any_query_gives_a_request_or_names_what_is_wrong(query: dict[str, str]) -> None:
    try:
        request = parse_history(query)
    except InvalidInput as refused:
        assert refused.errors
    else:
        assert (request.page is None) != (request.before_id is None)
        assert 1 <= request.size <= 100


@given(text=st.text(min_size=1, max_size=200))
def test_content_that_is_taken_can_be_stored_and_is_unchanged(text: str) -> None:
    try:
        request = send(content=text)
    except InvalidInput:
        return
    assert request.content == text
    assert request.content.encode().decode() == text
    assert "\0" not in text
