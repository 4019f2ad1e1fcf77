"""List the mutations of the use cases of groups, and the rights to read and write."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, pytest_of, simulator

MUTATIONS = (
    Mutation(
        "take a right in a group away, and tell no process",
        "messaging/service/group_changes.py",
        "            await backends.cache.distrust(group_conversation(group_id), call.narrows)\n",
        "            pass\n",
        pytest_of("tests/integration/shared_service/test_what_groups_promise.py", "-k", "missed"),
    ),
    Mutation(
        "answer at once when no process could be told of a group's change",
        "messaging/service/group_changes.py",
        "    if not is_doubted:\n",
        "    if False:\n",
        pytest_of("tests/unit/service/test_groups.py", "-k", "away"),
    ),
    Mutation(
        "give a group's notice an id below the floor of its join",
        "messaging/service/group_changes.py",
        "            backends.ids.go_past(time_of_id(above))\n",
        "",
        pytest_of("tests/unit/service/test_groups.py"),
    ),
    Mutation(
        "let an administrator of a group act on another one",
        "messaging/service/group_rules.py",
        "facts.members[actor.user_id].role.is_above(target.role)",
        "not target.role.is_above(facts.members[actor.user_id].role)",
        pytest_of("tests/unit/service/test_role_matrix.py"),
    ),
    Mutation(
        "change a group that was dissolved",
        "messaging/service/group_rules.py",
        "    if facts.group.is_dissolved:\n        raise GroupDissolved\n    if not",
        "    if not",
        pytest_of("tests/unit/service/test_group_rules.py"),
    ),
    Mutation(
        "leave a group without its owner",
        "messaging/service/membership_rules.py",
        "        raise OwnerMustHandOver\n",
        "        pass\n",
        pytest_of("tests/unit/service/test_group_rules.py", "-k", "TestALeave"),
    ),
    Mutation(
        "show the old messages of a group to who joins it",
        "messaging/service/membership_rules.py",
        "hides_history=facts.group.history is History.JOINED",
        "hides_history=False",
        pytest_of(
            "tests/integration/shared_service/test_what_groups_promise.py", "-k", "new_member"
        ),
    ),
    Mutation(
        "tell a group of a repeated mute",
        "messaging/service/group_rules.py",
        "present > 0 and 0 <= until - present",
        "False and 0 <= until - present",
        pytest_of("tests/unit/service/test_group_rules.py", "-k", "mute"),
    ),
    Mutation(
        "show a group to a banned user",
        "messaging/service/group_reading.py",
        "is_hidden = view.is_banned or ",
        "is_hidden = ",
        pytest_of("tests/integration/shared_service/test_groups.py", "-k", "TestReading"),
    ),
    Mutation(
        "recall and delete below the reader's floor",
        "messaging/service/access.py",
        "    if not reader.may_see(message.id):\n        raise MessageNotFound\n",
        "",
        pytest_of("tests/unit/service/test_group_floors.py"),
    ),
    Mutation(
        "read a message by a membership that is in doubt",
        "messaging/service/access.py",
        "        if guard <= access.asked_after:\n",
        "        if True:\n",
        pytest_of("tests/unit/service/test_group_rights.py"),
    ),
    Mutation(
        "believe a remembered membership for a message of the database",
        "messaging/service/access.py",
        "return None if row is None else _Found(row)",
        "return None if row is None else _Found(row, 0)",
        pytest_of("tests/unit/service/test_group_rights.py"),
    ),
    Mutation(
        "send to a dissolved group",
        "messaging/service/send_right.py",
        "    if group.is_dissolved:\n        raise GroupDissolved\n",
        "",
        pytest_of("tests/unit/service/test_group_rights.py"),
    ),
    Mutation(
        "send while muted",
        "messaging/service/send_right.py",
        "    if member.is_muted(now_ms):\n",
        "    if False:\n",
        pytest_of("tests/unit/service/test_group_rights.py"),
    ),
    Mutation(
        "send while all are muted",
        "messaging/service/send_right.py",
        "    if group.is_all_muted and",
        "    if False and",
        pytest_of("tests/unit/service/test_group_rights.py"),
    ),
    Mutation(
        "let no process doubt a right in a group that has shrunk",
        "messaging/service/group_changes.py",
        "await backends.cache.distrust(group_conversation(group_id), call.narrows)",
        "pass",
        simulator(500),
    ),
    Mutation(
        "show a group whatever the guard says",
        "messaging/service/visibility.py",
        "if guard is None or guard > self.access.asked_after:",
        "if guard is None:",
        simulator(500),
    ),
    Mutation(
        "show a group below the reader's floor",
        "messaging/service/visibility.py",
        "floor = NO_FLOOR if member is None else Floor(member.floor_id, member.floor_seq)",
        "floor = NO_FLOOR",
        simulator(200),
    ),
    Mutation(
        "tell a floor in the list, and show what is below it",
        "messaging/service/visibility.py",
        "        return replace(self, told=participant.floor)\n",
        "        return self\n",
        pytest_of("tests/unit/service/test_clears_cut_short.py"),
    ),
    Mutation(
        "show what a user has cleared",
        "messaging/service/visibility.py",
        "return floor.joined(self.cleared or NO_FLOOR).joined(self.told)",
        "return floor",
        pytest_of("tests/unit/service/test_clears.py"),
    ),
    Mutation(
        "tell no member of a group who comes and who goes",
        "messaging/service/membership_rules.py",
        "return [] if is_silent else [notice(event, user_ids)]",
        "return []",
        simulator(100),
    ),
    Mutation(
        "let users come into a group and go past their lists",
        "messaging/service/group_changes.py",
        "        await backends.cache.forget_listings(call.users)\n",
        "        pass\n",
        pytest_of("tests/unit/service/test_group_lists.py"),
    ),
)
