"""Test which rights are surely gone after acts in an order written by hand."""

from __future__ import annotations

import pytest

from tests.simulation.group_acts import NEVER, GroupAct, GroupRights, Outcome, Verb

OWNER, USER = 1, 3
DONE, REFUSED, UNKNOWN = Outcome.DONE, Outcome.REFUSED, Outcome.UNKNOWN


def act(
    verb: Verb, begun: int, ended: int = NEVER, outcome: Outcome = DONE, user: int | None = USER
) -> GroupAct:
    return GroupAct(verb, OWNER, user, begun, ended, outcome)


def rights(*acts: GroupAct) -> GroupRights:
    return GroupRights(acts, OWNER)


REMOVED = act(Verb.REMOVE, 10, 20)


@pytest.mark.parametrize(
    ("acts", "begun", "ended", "is_out"),
    [
        ([REMOVED], 21, 22, True),
        ([REMOVED], 19, 22, False),
        ([act(Verb.REMOVE, 10, outcome=UNKNOWN)], 30, 31, False),
        ([act(Verb.REMOVE, 10, 20, REFUSED)], 30, 31, False),
        ([act(Verb.REMOVE, 10, 20, user=2)], 30, 31, False),
        ([REMOVED, act(Verb.INVITE, 30, 40)], 25, 29, True),
        ([REMOVED, act(Verb.INVITE, 30, 40)], 25, 31, False),
        ([REMOVED, act(Verb.INVITE, 30, 40, REFUSED)], 45, 46, True),
        ([REMOVED, act(Verb.INVITE, 15, 19)], 25, 26, False),
        ([REMOVED, act(Verb.INVITE, 5, 9)], 25, 26, True),
        ([REMOVED, act(Verb.INVITE, 5, outcome=UNKNOWN)], 25, 26, False),
        ([REMOVED, act(Verb.JOIN, 30, 40), act(Verb.LEAVE, 41, 50)], 51, 52, True),
    ],
)
def test_out(acts: list[GroupAct], begun: int, ended: int, is_out: bool) -> None:
    assert rights(*acts).is_out(USER, begun=begun, ended=ended) == is_out


def test_an_outsider_is_out_from_the_start() -> None:
    before = rights(act(Verb.REMOVE, 0, 0), act(Verb.INVITE, 10, 20))
    assert before.is_out(USER, begun=1, ended=9)
    assert not before.is_out(USER, begun=1, ended=11)
    assert not before.is_out(2, begun=1, ended=9)


@pytest.mark.parametrize(
    ("acts", "is_in"),
    [
        ([act(Verb.INVITE, 10, 20)], True),
        ([act(Verb.INVITE, 10, outcome=UNKNOWN)], False),
        ([act(Verb.INVITE, 10, 20), act(Verb.LEAVE, 15, outcome=UNKNOWN)], False),
        ([REMOVED, act(Verb.INVITE, 21, 22)], True),
        ([], False),
    ],
)
def test_in_at_the_end(acts: list[GroupAct], is_in: bool) -> None:
    assert rights(*acts).is_in(USER) == is_in


ALL = None


@pytest.mark.parametrize(
    ("acts", "why"),
    [
        ([REMOVED], "out"),
        ([act(Verb.DISSOLVE, 10, 20, user=ALL)], "dissolved"),
        ([act(Verb.DISSOLVE, 10, outcome=UNKNOWN, user=ALL)], None),
        ([act(Verb.MUTE, 10, 20)], "muted"),
        ([act(Verb.MUTE, 10, 20), act(Verb.UNMUTE, 21, 25)], None),
        ([act(Verb.MUTE, 10, 20), act(Verb.LEAVE, 21, 22), act(Verb.JOIN, 23, 25)], "muted"),
        ([act(Verb.MUTE, 10, 20), act(Verb.UNMUTE, 5, 9)], "muted"),
        ([act(Verb.MUTE_ALL, 10, 20, user=ALL)], "all muted"),
        ([act(Verb.MUTE_ALL, 10, 20, user=ALL), act(Verb.UNMUTE_ALL, 21, user=ALL)], None),
        ([act(Verb.MUTE_ALL, 10, 20, user=ALL), act(Verb.PROMOTE, 1, 5)], None),
        ([act(Verb.MUTE_ALL, 10, 20, user=ALL), act(Verb.PROMOTE, 1, 5, REFUSED)], "all muted"),
    ],
)
def test_silenced(acts: list[GroupAct], why: str | None) -> None:
    assert rights(*acts).silenced_by(USER, begun=30, ended=31) == why


def test_the_owner_is_not_silenced_with_all() -> None:
    muted = rights(act(Verb.MUTE_ALL, 10, 20, user=ALL))
    assert muted.silenced_by(OWNER, begun=30, ended=31) is None


class TestTheFloor:
    def test_is_where_somebody_who_was_surely_out_may_have_come_back(self) -> None:
        back = rights(REMOVED, act(Verb.INVITE, 30, outcome=UNKNOWN), act(Verb.INVITE, 40, 50))
        assert back.hidden_before(USER, begun=25) == 0
        assert back.hidden_before(USER, begun=60) == 30

    def test_is_not_set_by_an_invitation_of_a_member(self) -> None:
        assert rights(act(Verb.INVITE, 30, 40)).hidden_before(USER, begun=60) == 0

    def test_stays_with_later_removals(self) -> None:
        gone = rights(REMOVED, act(Verb.JOIN, 30, 40), act(Verb.REMOVE, 45, outcome=UNKNOWN))
        assert gone.hidden_before(USER, begun=60) == 30

    @pytest.mark.parametrize(
        ("join", "said", "may_hide"),
        [
            (act(Verb.JOIN, 30, 40), 41, False),
            (act(Verb.JOIN, 30, 40), 39, True),
            (act(Verb.JOIN, 30, outcome=UNKNOWN), 41, True),
            (act(Verb.JOIN, 30, 40, REFUSED), 39, False),
            (act(Verb.JOIN, 70, 80), 39, False),
        ],
    )
    def test_may_hide_what_was_tried_before_the_join_ended(
        self, join: GroupAct, said: int, may_hide: bool
    ) -> None:
        assert rights(join).may_be_hidden(USER, said=said, ended=60) == may_hide
