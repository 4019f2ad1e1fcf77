"""List the mutations of the cache and the store in memory."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, pytest_of, simulator

MUTATIONS = (
    Mutation(
        "drop the pending mark (memory)",
        "messaging/testing/cache_accepting.py",
        "            self.pending_set.times[message.id] = message.send_time\n",
        "",
        simulator(2_000),
    ),
    Mutation(
        "let a join of a group lower the floor (memory)",
        "messaging/testing/groups.py",
        "floor_id=max(row.floor_id, floor[0])",
        "floor_id=floor[0]",
        pytest_of("tests/contract/groups/test_floors.py"),
    ),
    Mutation(
        "take a group's message whatever the guard says (memory)",
        "messaging/testing/cache_guarding.py",
        "return Guarded(score, floor_ms) if score or floor_ms else None",
        "return None",
        simulator(500),
    ),
    Mutation(
        "count pins of others against a user",
        "messaging/testing/conversations.py",
        "i == user_id and p.is_in and p.pin_time",
        "p.is_in and p.pin_time",
        pytest_of("tests/contract/conversations/test_changing.py", "-k", "the_facts"),
    ),
    Mutation(
        "keep a group pinned that the user has left (memory)",
        "messaging/testing/groups.py",
        "row = replace(row, pin_time=None, ",
        "row = replace(row, ",
        pytest_of("tests/contract/groups/test_changing.py", "-k", "pinned"),
    ),
    Mutation(
        "count messages as unread that the reader has deleted (memory)",
        "messaging/testing/conversations.py",
        "            and (participant.user_id, row.id) not in self.store.deletes\n",
        "",
        pytest_of("tests/contract/conversations/test_unread.py"),
    ),
    Mutation(
        "believe deletes that were read before a change that is lost (memory)",
        "messaging/testing/cache_reading.py",
        "        if self.deletes_tokens.get(user_id) == token:\n",
        "        if token:\n",
        pytest_of("tests/contract/cache/test_deletes_races.py", "-k", "memory"),
    ),
    Mutation(
        "fill a list from before a change of it (memory)",
        "messaging/testing/cache_listing.py",
        "                known.token = None\n",
        "",
        pytest_of("tests/contract/cache/test_listing_races.py", "-k", "memory"),
    ),
)
