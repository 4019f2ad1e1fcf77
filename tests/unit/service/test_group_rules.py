"""Test the rules of groups: repeats, refusals one by one, limits, and what is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from messaging.domain.errors import (
    Blocked,
    GroupDissolved,
    GroupFull,
    NotAdmitted,
    NotAMember,
    OwnerMustHandOver,
    RoleTooLow,
    TooMany,
    UserNotFound,
)
from messaging.domain.groups import (
    FOR_GOOD,
    Event,
    Group,
    GroupState,
    History,
    JoinMode,
    Member,
    Notice,
    OutReason,
    Role,
)
from messaging.ports.groups import GroupChange, GroupFacts, Invitee
from messaging.service import group_rules, membership_rules
from messaging.service.group_rules import Actor
from messaging.service.membership_rules import Sizes

NOW_MS = 1_000_000
OWNER, ADMIN, MEMBER, GUEST = 1, 2, 3, 4
SIZES = Sizes(members=10, notice_members=5)
NOTHING = GroupChange()


def acting(user_id: int) -> Actor:
    return Actor(user_id=user_id)


def facts(
    *,
    members: Iterable[int] = (OWNER, ADMIN, MEMBER),
    group: dict[str, Any] | None = None,
    **changes: Any,
) -> GroupFacts:
    """Return the facts of a group of an owner, an administrator and a member."""
    roles = {OWNER: Role.OWNER, ADMIN: Role.ADMIN}
    given = {each: Member(user_id=each, role=roles.get(each, Role.MEMBER)) for each in members}
    fields: dict[str, Any] = {"member_count": len(given), "join_mode": JoinMode.OPEN} | (
        group or {}
    )
    users = {each: Invitee() for each in range(1, 100)}
    known: dict[str, Any] = {"members": given, "users": users, "admins": 1} | changes
    return GroupFacts(group=Group(id=5, name="group", **fields), **known)


DISSOLVED = {"state": GroupState.DISSOLVED}


class TestARepeat:
    """A repeat whose wish is fulfilled writes nothing and is told to nobody."""

    def test_of_an_update(self) -> None:
        assert group_rules.update(facts(), acting(ADMIN), {"name": "group"}) == NOTHING

    def test_of_a_join(self) -> None:
        assert membership_rules.join(facts(), acting(MEMBER), "", sizes=SIZES) == NOTHING

    def test_of_a_request_to_join_keeps_the_newest_text_and_is_told_to_nobody(self) -> None:
        asked = facts(
            group={"join_mode": JoinMode.APPROVAL, "member_count": 3}, requests=frozenset([GUEST])
        )
        change = membership_rules.join(asked, acting(GUEST), "again", sizes=SIZES)
        assert change == GroupChange(asks={GUEST: "again"})

    def test_of_a_creation_names_those_for_whom_there_was_no_room(self) -> None:
        full = facts(group={"member_count": SIZES.members}, out={9: OutReason.LEFT})
        result = membership_rules.judge_again(full, [MEMBER, GUEST, 9], sizes=SIZES)
        assert result == (NOTHING, {GUEST: GroupFull})

    def test_of_an_acceptance(self) -> None:
        change = membership_rules.answer(facts(), acting(ADMIN), MEMBER, accepts=True, sizes=SIZES)
        assert change == NOTHING

    def test_of_an_invitation(self) -> None:
        result = membership_rules.invite(facts(), acting(OWNER), [ADMIN, MEMBER], sizes=SIZES)
        assert result == (NOTHING, {})

    def test_of_a_leave_by_ones_own_wish_alone(self) -> None:
        left = facts(out={GUEST: OutReason.LEFT})
        assert membership_rules.leave(left, acting(GUEST), sizes=SIZES) == NOTHING
        for reason in (OutReason.REMOVED, OutReason.BANNED):
            with pytest.raises(NotAMember):
                membership_rules.leave(facts(out={GUEST: reason}), acting(GUEST), sizes=SIZES)

    def test_of_a_removal(self) -> None:
        out = facts(out={GUEST: OutReason.REMOVED})
        assert membership_rules.remove(out, acting(ADMIN), [GUEST], bans=False) == (NOTHING, {})

    def test_of_a_ban(self) -> None:
        out = facts(out={GUEST: OutReason.BANNED}, bans=frozenset([GUEST]))
        assert membership_rules.remove(out, acting(ADMIN), [GUEST], bans=True) == (NOTHING, {})

    def test_of_a_role(self) -> None:
        assert group_rules.set_role(facts(), acting(OWNER), ADMIN, Role.ADMIN) == NOTHING

    def test_of_a_transfer_to_the_owner(self) -> None:
        assert group_rules.transfer(facts(), acting(OWNER), OWNER) == NOTHING

    def test_of_a_dissolution_by_the_owner_alone(self) -> None:
        ended = facts(group=DISSOLVED)
        assert group_rules.dissolve(ended, acting(OWNER)) == NOTHING
        with pytest.raises(GroupDissolved):
            group_rules.dissolve(ended, acting(ADMIN))

    @pytest.mark.parametrize(
        ("present", "wanted", "is_repeat"),
        [
            (0, 0, True),
            (NOW_MS - 1, 0, True),  # the mute is over
            (FOR_GOOD, FOR_GOOD, True),
            (NOW_MS + 600_000, NOW_MS + 600_000, True),
            (NOW_MS + 600_000, NOW_MS + 602_500, True),  # the same seconds, 2.5 s later
            (NOW_MS + 600_000, NOW_MS + 599_000, False),
            (NOW_MS + 600_000, NOW_MS + 620_000, False),
            (NOW_MS + 2_000, NOW_MS + 5_000, False),
            (NOW_MS + 2_000, FOR_GOOD, False),
            (FOR_GOOD, NOW_MS + 1_000, False),
            (NOW_MS + 600_000, 0, False),
            (0, NOW_MS + 1_000, False),
        ],
    )
    def test_of_a_mute(self, present: int, wanted: int, is_repeat: bool) -> None:
        known = facts()
        muted = Member(user_id=MEMBER, role=Role.MEMBER, muted_until=present)
        known = replace(known, members={**known.members, MEMBER: muted})
        change = group_rules.mute(known, acting(ADMIN), MEMBER, wanted, now_ms=NOW_MS)
        assert (change == NOTHING) is is_repeat


class TestManyUsers:
    """Each user is judged alone, and the others are served."""

    def test_are_added_or_refused_one_by_one(self) -> None:
        users = {each: Invitee() for each in (MEMBER, 11, 12, 13, 14)}
        users[12] = Invitee(has_blocked=True)
        users[13] = Invitee(takes_invitations=False)
        known = facts(users=users, bans=frozenset([14]))
        change, refused = membership_rules.invite(
            known, acting(MEMBER), [MEMBER, 10, 11, 12, 13, 14], sizes=SIZES
        )
        assert change.joins == {11: Role.MEMBER}
        assert refused == {10: UserNotFound, 12: Blocked, 13: NotAdmitted, 14: NotAdmitted}
        assert change.notices == [Notice(event=Event.INVITED, user_ids=(11,), count=1)]

    def test_fill_the_group_and_the_rest_is_refused(self) -> None:
        nearly_full = facts(group={"member_count": 8})
        change, refused = membership_rules.invite(
            nearly_full, acting(OWNER), [11, 12, 13], sizes=SIZES
        )
        assert list(change.joins) == [11, 12]
        assert refused == {13: GroupFull}

    def test_are_removed_or_refused_one_by_one(self) -> None:
        known = facts(members=(OWNER, ADMIN, MEMBER, 5), out={6: OutReason.LEFT})
        change, refused = membership_rules.remove(
            known, acting(ADMIN), [OWNER, MEMBER, 5, 6, 7], bans=False
        )
        assert change.leaves == {MEMBER: OutReason.REMOVED, 5: OutReason.REMOVED}
        assert refused == {OWNER: RoleTooLow, 7: UserNotFound}
        assert change.notices == [Notice(event=Event.REMOVED, user_ids=(MEMBER, 5), count=2)]

    def test_a_new_group_has_those_that_could_be_added(self) -> None:
        users = {11: Invitee(), 12: Invitee(takes_invitations=False)}
        change, refused = membership_rules.create(
            facts(members=(), users=users), [11, 12, 13], owner_id=OWNER, sizes=SIZES
        )
        assert change.joins == {OWNER: Role.OWNER, 11: Role.MEMBER}
        assert refused == {12: NotAdmitted, 13: UserNotFound}
        assert [each.event for each in change.notices] == [Event.CREATED, Event.INVITED]

    def test_a_notice_names_the_first_twenty_and_counts_all(self) -> None:
        many = list(range(10, 40))
        roomy = Sizes(members=100, notice_members=50)
        change, _ = membership_rules.invite(facts(), acting(OWNER), many, sizes=roomy)
        (told,) = change.notices
        assert (told.user_ids, told.count) == (tuple(range(10, 30)), 30)

    def test_bans_end_and_nobody_unknown_has_one(self) -> None:
        known = facts(users={7: Invitee()}, bans=frozenset([8]))
        change, refused = membership_rules.unban(known, acting(ADMIN), [7, 8, 9])
        assert (change, refused) == (GroupChange(unbans=frozenset([8])), {9: UserNotFound})


class TestAJoin:
    def test_of_somebody_banned_is_refused_whatever_the_mode(self) -> None:
        for mode in JoinMode:
            banned = facts(group={"join_mode": mode}, bans=frozenset([GUEST]))
            with pytest.raises(NotAdmitted) as refusal:
                membership_rules.join(banned, acting(GUEST), "", sizes=SIZES)
            assert refusal.value.data == {"reason": "banned"}

    def test_of_an_invite_group_is_refused(self) -> None:
        with pytest.raises(NotAdmitted) as refusal:
            membership_rules.join(
                facts(group={"join_mode": JoinMode.INVITE}), acting(GUEST), "", sizes=SIZES
            )
        assert refusal.value.data == {"reason": "invite"}

    def test_with_approval_asks_and_tells_nobody(self) -> None:
        known = facts(group={"join_mode": JoinMode.APPROVAL})
        change = membership_rules.join(known, acting(GUEST), "please", sizes=SIZES)
        assert change == GroupChange(asks={GUEST: "please"})

    def test_of_a_full_or_dissolved_group_is_refused(self) -> None:
        with pytest.raises(GroupFull):
            membership_rules.join(facts(group={"member_count": 10}), acting(GUEST), "", sizes=SIZES)
        with pytest.raises(GroupDissolved):
            membership_rules.join(facts(group=DISSOLVED), acting(GUEST), "", sizes=SIZES)

    @pytest.mark.parametrize("history", History)
    def test_hides_history_by_the_groups_setting(self, history: History) -> None:
        change = membership_rules.join(
            facts(group={"history": history}), acting(GUEST), "", sizes=SIZES
        )
        assert change.hides_history is (history is History.JOINED)

    def test_or_leave_of_a_large_group_is_told_to_nobody(self) -> None:
        for count, told in ((5, 1), (6, 0)):
            known = facts(group={"member_count": count})
            joined = membership_rules.join(known, acting(GUEST), "", sizes=SIZES)
            left = membership_rules.leave(known, acting(MEMBER), sizes=SIZES)
            assert (len(joined.notices), len(left.notices)) == (told, told)

    def test_by_a_request_needs_somebody_who_has_asked(self) -> None:
        for accepts in (True, False):
            with pytest.raises(UserNotFound):
                membership_rules.answer(facts(), acting(ADMIN), GUEST, accepts=accepts, sizes=SIZES)

    def test_by_a_request_settles_it(self) -> None:
        asked = facts(requests=frozenset([GUEST]))
        for accepts, joins in ((True, {GUEST: Role.MEMBER}), (False, {})):
            change = membership_rules.answer(
                asked, acting(ADMIN), GUEST, accepts=accepts, sizes=SIZES
            )
            assert (change.joins, change.answered) == (joins, frozenset([GUEST]))
            assert len(change.notices) == len(joins)


class TestALeave:
    def test_of_the_owner_of_others_is_refused(self) -> None:
        with pytest.raises(OwnerMustHandOver):
            membership_rules.leave(facts(), acting(OWNER), sizes=SIZES)

    def test_of_the_last_member_dissolves_the_group(self) -> None:
        change = membership_rules.leave(facts(members=(OWNER,)), acting(OWNER), sizes=SIZES)
        assert change.leaves == {OWNER: OutReason.LEFT}
        assert change.group is not None
        assert change.group.is_dissolved
        assert [each.event for each in change.notices] == [Event.LEFT, Event.DISSOLVED]

    @pytest.mark.parametrize("who", [OWNER, ADMIN, MEMBER])
    def test_of_a_dissolved_group_is_for_everybody(self, who: int) -> None:
        change = membership_rules.leave(facts(group=DISSOLVED), acting(who), sizes=SIZES)
        assert (change.leaves, change.group) == ({who: OutReason.LEFT}, None)


class TestRoles:
    def test_a_transfer_makes_the_old_owner_an_administrator(self) -> None:
        known = facts()
        change = group_rules.transfer(known, acting(OWNER), MEMBER)
        roles = {each.user_id: each.role for each in change.members}
        assert roles == {OWNER: Role.ADMIN, MEMBER: Role.OWNER}

    def test_there_are_at_most_fifty_administrators(self) -> None:
        full = facts(admins=50)
        for change in (
            lambda: group_rules.set_role(full, acting(OWNER), MEMBER, Role.ADMIN),
            lambda: group_rules.transfer(full, acting(OWNER), MEMBER),
        ):
            with pytest.raises(TooMany) as refusal:
                change()
            assert refusal.value.data == {"limit": 50}
        assert group_rules.transfer(full, acting(OWNER), ADMIN) != NOTHING

    def test_only_the_owner_sets_how_users_join_and_what_they_see(self) -> None:
        for field, value in (("join_mode", JoinMode.INVITE), ("history", History.ALL)):
            with pytest.raises(RoleTooLow):
                group_rules.update(facts(), acting(ADMIN), {"name": "new", field: value})
            assert group_rules.update(facts(), acting(OWNER), {field: value}) != NOTHING


class TestAnUpdate:
    def test_names_the_fields_that_have_changed(self) -> None:
        fields = {"name": "new", "announcement": "", "at_all_by": "members"}
        change = group_rules.update(facts(), acting(ADMIN), fields)
        assert change.notices == [Notice(event=Event.UPDATED, changed=("name", "atAllBy"))]

    @pytest.mark.parametrize(
        ("is_muted", "event"), [(True, Event.ALL_MUTED), (False, Event.ALL_UNMUTED)]
    )
    def test_tells_of_a_mute_of_all_by_itself(self, is_muted: bool, event: Event) -> None:
        known = facts(group={"is_all_muted": not is_muted})
        change = group_rules.update(known, acting(ADMIN), {"is_all_muted": is_muted})
        assert [each.event for each in change.notices] == [event]


@pytest.mark.parametrize(
    "verb",
    [
        lambda known: group_rules.update(known, acting(OWNER), {"name": "new"}),
        lambda known: membership_rules.answer(
            known, acting(OWNER), GUEST, accepts=True, sizes=SIZES
        ),
        lambda known: membership_rules.invite(known, acting(OWNER), [GUEST], sizes=SIZES),
        lambda known: membership_rules.remove(known, acting(OWNER), [MEMBER], bans=False),
        lambda known: membership_rules.unban(known, acting(OWNER), [GUEST]),
        lambda known: group_rules.set_role(known, acting(OWNER), MEMBER, Role.ADMIN),
        lambda known: group_rules.transfer(known, acting(OWNER), MEMBER),
        lambda known: group_rules.mute(known, acting(OWNER), MEMBER, 0, now_ms=NOW_MS),
        lambda known: group_rules.set_nickname(known, acting(OWNER), "Al"),
    ],
)
def test_nothing_changes_in_a_dissolved_group(verb: Any) -> None:
    with pytest.raises(GroupDissolved):
        verb(facts(group=DISSOLVED))
