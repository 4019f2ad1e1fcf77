"""List the mutations of the directory."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, pytest_of

MUTATIONS = (
    Mutation(
        "share a look-up that began before the doubt",
        "messaging/directory/group_answers.py",
        "        return not self.has_begun or 0 < after <= self.after\n",
        "        return True\n",
        pytest_of("tests/contract/directory/test_groups.py", "-k", "UnderWay"),
    ),
    Mutation(
        "keep a group that was read before the doubt",
        "messaging/directory/known_groups.py",
        "        self._groups.overtake(group_id)\n        asking = ",
        "        asking = ",
        pytest_of("tests/contract/directory/test_groups.py", "-k", "UnderWay"),
    ),
    Mutation(
        "answer an asked question by a score that is older",
        "messaging/directory/known_groups.py",
        "0 < after <= kept.value.asked_after:",
        "kept.value.asked_after >= 0:",
        pytest_of("tests/contract/directory/test_groups.py", "-k", "TestAsking"),
    ),
    Mutation(
        "answer from the whole group for a member who has changed",
        "messaging/directory/known_groups.py",
        "            group.set_apart(user_id)\n",
        "",
        pytest_of("tests/contract/directory/test_groups.py", "-k", "TestAChange"),
    ),
    Mutation(
        "answer from the whole group for a member who was asked about",
        "messaging/directory/known_groups.py",
        "            last.value.set_apart(user_id)\n",
        "            pass\n",
        pytest_of("tests/contract/directory/test_groups.py", "-k", "TestAsking"),
    ),
    Mutation(
        "believe in an outsider as long as in a member",
        "messaging/directory/group_answers.py",
        "return MEMBERSHIP_TTL_S - access_ttl_s(access)",
        "return 0.0",
        pytest_of("tests/contract/directory/test_groups.py", "-k", "outsider"),
    ),
    Mutation(
        "log the error of a look-up that nobody waits for",
        "messaging/directory/ttl_cache.py",
        "        task.add_done_callback(_take_error)\n",
        "",
        pytest_of("tests/unit/test_ttl_cache.py"),
    ),
)
