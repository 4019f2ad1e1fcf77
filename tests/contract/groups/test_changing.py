"""Test the facts that a change is decided by, and what a store writes of the decision."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from messaging.domain.errors import InvalidInput
from messaging.domain.groups import (
    FOR_GOOD,
    Allows,
    Event,
    Group,
    GroupState,
    History,
    JoinMode,
    Member,
    Notice,
    OutReason,
    PermittedRole,
    Role,
)
from messaging.ports.groups import (
    ChangedGroup,
    Decide,
    GroupChange,
    GroupFacts,
    GroupView,
    Invitee,
    JoinRequest,
)
from tests.contract.groups.decisions import creating, deciding, joining, leaving
from tests.contract.groups.rigs import NOW_MS, Case
from tests.support.messages import make_message

LONG = 2**62


@pytest.fixture
async def made(case: Case) -> ChangedGroup:
    """Make a group of the users 1 to 3, whose owner is the user 1; the user 4 is outside."""
    await case.rig.add_users(1, 2, 3, 4)
    return await case.create(1, creating(1, 2, 3))


async def facts_of(case: Case, group_id: int, actor_id: int, *involved: int) -> GroupFacts:
    seen: list[GroupFacts] = []

    def decide(facts: GroupFacts) -> GroupChange:
        seen.append(facts)
        return GroupChange()

    await case.groups.change_group(group_id, case.order(actor_id, decide, involved=involved))
    (facts,) = seen
    return facts


class TestFacts:
    async def test_are_of_those_concerned_alone(self, case: Case, made: ChangedGroup) -> None:
        facts = await facts_of(case, made.group.id, 1, 3, 4, 3)

        assert facts.group == made.group
        assert facts.members == {i: made.members[i] for i in (1, 3)}
        assert facts.users == dict.fromkeys((1, 3, 4), Invitee())
        assert not (facts.out or facts.requests or facts.bans or facts.admins)

    async def test_leave_out_users_who_are_absent_or_inactive(
        self, case: Case, made: ChangedGroup
    ) -> None:
        await case.rig.add_users(5, active=False)

        facts = await facts_of(case, made.group.id, 1, 4, 5, 99)

        assert facts.users == {1: Invitee(), 4: Invitee()}

    async def test_tell_who_may_be_invited_by_the_one_who_acts(
        self, case: Case, made: ChangedGroup
    ) -> None:
        await case.rig.set_profile(2, Allows.NOBODY)
        await case.rig.set_profile(3, Allows.EVERYBODY)
        await case.rig.block(4, 1)
        await case.rig.block(3, 2)
        await case.rig.block(1, 3)

        facts = await facts_of(case, made.group.id, 1, 2, 3, 4)

        assert facts.users == {
            1: Invitee(),
            2: Invitee(takes_invitations=False),
            3: Invitee(),
            4: Invitee(has_blocked=True),
        }

    async def test_tell_who_is_out_who_has_asked_and_who_is_banned(
        self, case: Case, made: ChangedGroup
    ) -> None:
        group_id = made.group.id
        await case.change(group_id, 2, leaving(2))
        await case.change(group_id, 1, leaving(3, OutReason.BANNED), 3)
        await case.change(group_id, 1, deciding(GroupChange(asks={2: ""}, bans=frozenset({3, 4}))))

        facts = await facts_of(case, group_id, 1, 2, 3, 4)

        assert facts.out == {2: OutReason.LEFT, 3: OutReason.BANNED}
        assert facts.requests == {2}
        assert facts.bans == {3, 4}
        other = await case.create(1, creating(1))
        facts = await facts_of(case, other.group.id, 1, 2, 3, 4)
        assert not (facts.out or facts.requests or facts.bans)

    async def test_count_the_administrators_of_the_whole_group(
        self, case: Case, made: ChangedGroup
    ) -> None:
        admins = [replace(made.members[i], role=Role.ADMIN) for i in (2, 3)]
        await case.change(made.group.id, 1, deciding(GroupChange(members=admins)))

        assert (await facts_of(case, made.group.id, 1)).admins == 2

    async def test_tell_of_a_return(self, case: Case, made: ChangedGroup) -> None:
        for decide in (leaving(2), joining(2)):
            await case.change(made.group.id, 2, decide)

        facts = await facts_of(case, made.group.id, 2)

        assert facts.out == {}
        assert facts.members == {2: made.members[2]}


class TestChanges:
    async def test_of_every_column_are_kept(self, case: Case, made: ChangedGroup) -> None:
        group = Group(
            id=LONG,
            name="名 🏴 % ' \" \\",
            avatar="https://e.org/a?b=%s",
            announcement="x\n" * 1_000,
            join_mode=JoinMode.APPROVAL,
            history=History.ALL,
            invite_by=PermittedRole.ADMINS,
            at_all_by=PermittedRole.MEMBERS,
            is_all_muted=True,
            state=GroupState.DISSOLVED,
            member_count=99,
            mode="sync",
            create_time=5,
        )

        changed = await case.change(made.group.id, 1, deciding(GroupChange(group=group)))

        kept = {"id": made.group.id, "member_count": 3, "create_time": NOW_MS}
        assert changed.group == replace(group, **kept)
        assert await case.groups.find_group(made.group.id, 1) == GroupView(
            changed.group, made.members[1], False
        )
        back = await case.change(made.group.id, 1, deciding(GroupChange(group=made.group)))
        assert back.group == made.group

    async def test_of_members_are_kept(self, case: Case, made: ChangedGroup) -> None:
        members = [
            Member(user_id=3, role=Role.ADMIN, nickname="ü" * 64, join_time=NOW_MS),
            Member(user_id=2, role=Role.MEMBER, join_time=NOW_MS, muted_until=FOR_GOOD),
        ]

        changed = await case.change(made.group.id, 1, deciding(GroupChange(members=members)))

        assert changed.members == {1: made.members[1], 3: members[0], 2: members[1]}
        assert await case.groups.members(made.group.id, role=None, after=None, limit=9) == [
            made.members[1],
            *members,
        ]
        assert changed.group == made.group

    async def test_of_nothing_write_nothing(self, case: Case, made: ChangedGroup) -> None:
        participants = await case.rig.participants(f"g{made.group.id}")

        changed = await case.change(made.group.id, 1, deciding(GroupChange()))

        assert (changed.group, changed.notices, changed.hints) == (made.group, (), ())
        assert await case.rig.participants(f"g{made.group.id}") == participants
        assert len(await case.store.hints(limit=9)) == 1

    async def test_that_are_refused_write_nothing(self, case: Case, made: ChangedGroup) -> None:
        def refuse(facts: GroupFacts) -> GroupChange:
            raise InvalidInput({})

        with pytest.raises(InvalidInput):
            await case.change(made.group.id, 1, refuse)

        await self.assert_unchanged(case, made)

    async def test_whose_notice_gets_no_id_write_nothing(
        self, case: Case, made: ChangedGroup
    ) -> None:
        def fail(_: int) -> int:
            raise InvalidInput({})

        order = case.order(4, joining(4), next_id=fail)
        with pytest.raises(InvalidInput):
            await case.groups.change_group(made.group.id, order)

        await self.assert_unchanged(case, made)

    @staticmethod
    async def assert_unchanged(case: Case, made: ChangedGroup) -> None:
        view = await case.groups.find_group(made.group.id, 4)
        assert view == GroupView(made.group, None, False)
        assert (await case.store.tail(f"g{made.group.id}", limit=9)).total == 1
        assert (await case.rig.participants(f"g{made.group.id}")).keys() == {1, 2, 3}
        (await case.change(made.group.id, 4, joining(4)))  # and no lock is left


class TestNotices:
    async def test_go_on_with_the_numbers_of_the_messages(
        self, case: Case, made: ChangedGroup
    ) -> None:
        message = make_message(1, to_id=made.group.id, chat_type=made.notices[0].chat_type)
        await case.store.apply([message])

        changed = await case.change(made.group.id, 4, joining(4))

        (notice,) = changed.notices
        assert notice.seq == 3
        assert notice.from_user_id == 4
        (row,) = (await case.store.apply([replace(message, id=message.id + 1)])).rows
        assert row.seq == 4

    async def test_keep_all_that_they_tell(self, case: Case, made: ChangedGroup) -> None:
        told = Notice(
            event=Event.UPDATED,
            user_ids=tuple(range(LONG, LONG + 20)),
            count=200,
            changed=("name", "avatar", "announcement"),
            role=Role.ADMIN,
            muted_until=FOR_GOOD,
        )

        changed = await case.change(made.group.id, 1, deciding(GroupChange(notices=[told])))

        (row,) = (await case.store.get([changed.notices[0].id])).values()
        assert row.notice == told


class TestMembers:
    async def test_who_join_and_go_are_counted(self, case: Case, made: ChangedGroup) -> None:
        joined = await case.change(made.group.id, 4, joining(4))
        assert joined.group.member_count == 4
        assert joined.members[4] == Member(user_id=4, role=Role.MEMBER, join_time=NOW_MS)

        change = GroupChange(leaves={2: OutReason.LEFT, 3: OutReason.REMOVED})
        left = await case.change(made.group.id, 1, deciding(change))

        assert left.group.member_count == 2
        assert left.members == {1: made.members[1]}
        view = await case.groups.find_group(made.group.id, 2)
        assert view == GroupView(left.group, None, False)

    async def test_who_go_stay_participants(self, case: Case, made: ChangedGroup) -> None:
        name = f"g{made.group.id}"
        before = (await case.rig.participants(name))[2]

        await case.change(made.group.id, 1, leaving(2, OutReason.REMOVED), 2)

        participant = (await case.rig.participants(name))[2]
        assert (participant.is_in, participant.out_reason) == (False, OutReason.REMOVED)
        assert participant.rev == before.rev + 1
        await case.change(made.group.id, 2, joining(2))
        participant = (await case.rig.participants(name))[2]
        assert (participant.is_in, participant.out_reason) == (True, None)
        assert participant.rev == before.rev + 2

    @pytest.mark.parametrize("reason", [OutReason.LEFT, OutReason.REMOVED])
    async def test_who_go_have_nothing_pinned_or_hidden_there(
        self, case: Case, made: ChangedGroup, reason: OutReason
    ) -> None:
        name = f"g{made.group.id}"
        known = await case.rig.participants(name)
        settings = {"pin_time": 5, "hidden_id": 6, "is_marked_unread": True, "muted_until": -1}
        for user_id in (2, 3):
            await case.rig.put_participant(replace(known[user_id], **settings))

        await case.change(made.group.id, 1, leaving(2, reason), 2)

        after = await case.rig.participants(name)
        gone = replace(known[2], is_in=False, out_reason=reason, muted_until=-1)
        assert after[2] == replace(gone, rev=known[2].rev + 1)
        assert after[3] == replace(known[3], **settings)

    async def test_whose_row_is_gone_already_do_not_count(
        self, case: Case, made: ChangedGroup
    ) -> None:
        change = GroupChange(leaves={2: OutReason.LEFT, 3: OutReason.LEFT})
        await case.rig.drop_member(made.group.id, 3)

        left = await case.change(made.group.id, 1, deciding(change))

        assert left.group.member_count == 2

    async def test_without_a_participant_get_one_when_they_go(
        self, case: Case, made: ChangedGroup
    ) -> None:
        await case.rig.add_member(made.group.id, 4)

        await case.change(made.group.id, 4, leaving(4))

        participant = (await case.rig.participants(f"g{made.group.id}"))[4]
        assert (participant.is_in, participant.out_reason) == (False, OutReason.LEFT)

    @pytest.mark.parametrize("until", [FOR_GOOD, NOW_MS - 1, LONG])
    @pytest.mark.parametrize("reason", OutReason)
    async def test_who_come_back_are_muted_as_when_they_went(
        self, case: Case, made: ChangedGroup, until: int, reason: OutReason
    ) -> None:
        group_id, muted = made.group.id, replace(made.members[2], muted_until=until)
        await case.change(group_id, 1, deciding(GroupChange(members=[muted])), 2)
        for _ in range(2):
            await case.change(group_id, 1, leaving(2, reason), 2)
            assert (await facts_of(case, group_id, 1, 2, 3)).mutes == {2: until}
            changed = await case.change(group_id, 1, joining(2), 2, 3)
            found = await case.groups.members(group_id, role=Role.MEMBER, after=None, limit=9)
            assert {each.user_id: each.muted_until for each in found} == {2: until, 3: 0}
            assert changed.members[2] == found[0]
            assert (await facts_of(case, group_id, 1, 2, 3)).mutes == {}

    async def test_whose_mute_has_ended_come_back_without_one(
        self, case: Case, made: ChangedGroup
    ) -> None:
        group_id, muted = made.group.id, replace(made.members[2], muted_until=FOR_GOOD)
        await case.change(group_id, 1, deciding(GroupChange(members=[muted])), 2)
        await case.change(group_id, 1, leaving(2), 2)
        await case.change(group_id, 1, joining(2), 2)
        await case.change(group_id, 1, deciding(GroupChange(members=[made.members[2]])), 2)
        await case.change(group_id, 1, leaving(2), 2)

        assert (await facts_of(case, group_id, 1, 2)).mutes == {}
        assert (await case.change(group_id, 1, joining(2), 2)).members[2].muted_until == 0

    async def test_of_another_group_keep_their_mutes_there(
        self, case: Case, made: ChangedGroup
    ) -> None:
        muted = replace(made.members[2], muted_until=FOR_GOOD)
        await case.change(made.group.id, 1, deciding(GroupChange(members=[muted])), 2)
        await case.change(made.group.id, 1, leaving(2), 2)
        other = (await case.create(1, creating(1))).group.id

        assert (await case.change(other, 1, joining(2), 2)).members[2].muted_until == 0


class TestRequests:
    async def test_are_kept_until_they_are_answered(self, case: Case, made: ChangedGroup) -> None:
        async def ask(**changes: object) -> list[JoinRequest]:
            await case.change(made.group.id, 4, deciding(GroupChange(**changes)))  # type: ignore[arg-type]
            return await case.groups.join_requests(made.group.id, after=None, limit=9)

        assert await ask(asks={4: "let me in", 2: ""}) == [
            JoinRequest(2, "", NOW_MS),
            JoinRequest(4, "let me in", NOW_MS),
        ]
        assert (await ask(asks={4: "please"}))[1].text == "please"
        assert await ask(answered=frozenset({2, 9})) == [JoinRequest(4, "please", NOW_MS)]
        assert await ask(answered=frozenset({4})) == []

    async def test_come_in_pages(self, case: Case, made: ChangedGroup) -> None:
        asks = {i: f"from {i}" for i in range(11, 18)}
        other = await case.create(1, deciding(GroupChange(asks={10: "", 12: ""})))
        await case.change(made.group.id, 1, deciding(GroupChange(asks=asks)))

        found: list[JoinRequest] = []
        while page := await case.groups.join_requests(
            made.group.id, after=found[-1].user_id if found else None, limit=3
        ):
            assert len(page) <= 3
            found += page

        assert found == [JoinRequest(i, text, NOW_MS) for i, text in asks.items()]
        requests = await case.groups.join_requests(other.group.id, after=10, limit=9)
        assert [each.user_id for each in requests] == [12]


class TestBans:
    async def test_last_until_they_end(self, case: Case, made: ChangedGroup) -> None:
        async def is_banned(decide: Decide) -> bool:
            await case.change(made.group.id, 1, decide)
            view = await case.groups.find_group(made.group.id, 4)
            assert view is not None
            return view.is_banned

        for _ in range(2):
            assert await is_banned(deciding(GroupChange(bans=frozenset({4, 5}))))
        for _ in range(2):
            assert not await is_banned(deciding(GroupChange(unbans=frozenset({4}))))
