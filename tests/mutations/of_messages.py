"""List the mutations of the use cases of messages."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, pytest_of, simulator

MUTATIONS = (
    Mutation(
        "show messages below the reader's floor on a page",
        "messaging/service/history_pages.py",
        "if self.reader.may_see(each.id, deleted)]",
        "if each.id not in deleted]",
        pytest_of("tests/unit/service/test_group_floors.py"),
    ),
    Mutation(
        "show a message below the reader's floor by its id",
        "messaging/service/fetch.py",
        "    if not reader.may_see(message_id, deleted):\n",
        "    if message_id in deleted:\n",
        pytest_of("tests/unit/service/test_group_floors.py"),
    ),
    Mutation(
        "read a page by a membership that is in doubt",
        "messaging/service/history_pages.py",
        "        self.reader.heed(None if tail is AWAY else tail.guard)\n",
        "",
        pytest_of("tests/unit/service/test_group_rights.py"),
    ),
    Mutation(
        "give a send another id that the cache may have taken already",
        "messaging/service/send.py",
        "            if message.send_time <= doubt.not_before_ms:\n",
        "            if True:\n",
        pytest_of("tests/unit/service/test_group_rights.py"),
    ),
    Mutation(
        "recall the message of a higher role",
        "messaging/service/recall.py",
        "return own.role.is_above(Role.MEMBER if member is None else member.role)",
        "return True",
        pytest_of("tests/unit/service/test_group_recalls.py"),
    ),
    Mutation(
        "fill the shared cache with one reader's rows",
        "messaging/service/history_pages.py",
        "        tail = await store.tail(self.conversation, limit=FILL_ROWS)\n",
        "        tail = await store.tail(self.conversation, limit=FILL_ROWS)\n"
        "        ids = [row.id for row in tail.rows]\n"
        "        hidden = await store.deleted_among(self.reader.user_id, ids)\n"
        "        tail = replace(tail, rows=tuple(r for r in tail.rows if r.id not in hidden))\n",
        simulator(1_000),
    ),
    Mutation(
        "acknowledge a recall that nothing has confirmed",
        "messaging/service/recall.py",
        "        await _clear_marks(backends, tombstones)\n"
        "        raise TemporarilyUnavailable from failed[0]\n",
        "        logger.info(failed[0])\n",
        simulator(4_000),
    ),
    Mutation(
        "call a page whole while the cache may lack messages",
        "messaging/service/history_pages.py",
        "            partial=tail.recovering or total is None,\n",
        "            partial=total is None,\n",
        pytest_of("tests/unit/service"),
    ),
    Mutation(
        "show no stored tombstone when its recall is repeated",
        "messaging/service/recall.py",
        "        if cached is not None and not cached.is_recalled:",
        "        if False:",
        pytest_of("tests/unit/pipeline/test_hints.py", "-k", "back_meanwhile"),
    ),
    Mutation(
        "recall one attempt of a send and not the others",
        "messaging/service/recall.py",
        "    others = await other_attempts(backends, message, asked_id=message_id)\n",
        "    others = []\n",
        pytest_of("tests/unit/service/test_told_ids.py", "-k", "recall_by_either_id"),
    ),
    Mutation(
        "count what a user has cleared",
        "messaging/service/history_pages.py",
        "(total or 0) - self.reader.floor.seq",
        "(total or 0)",
        pytest_of("tests/unit/service/test_clears.py"),
    ),
)
