"""List the mutations: the place, the change, and the check that must catch it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SIMULATOR = ("-m", "tests.simulation", "--first", "--schedules")


@dataclass(frozen=True, slots=True)
class Mutation:
    """Describe a mutation: `old` is found exactly once in the file at `path`, and becomes `new`.

    `check` are Python's arguments; the check fails on the mutated copy and passes on the real code.
    """

    name: str
    path: str
    old: str
    new: str
    check: Sequence[str]


def _simulator(schedules: int) -> Sequence[str]:
    return (*SIMULATOR, str(schedules))


def _pytest(*names: str) -> Sequence[str]:
    return ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *names)


MUTATIONS = (
    Mutation(
        "commit positions before the database has the records",
        "messaging/pipeline/consumer.py",
        "            oldest = self._in_hand[0]\n",
        "            oldest = self._in_hand[0]\n            await self._commit(oldest.batch)\n",
        _simulator(500),
    ),
    Mutation(
        "drop the pending mark (Redis)",
        "messaging/cache/scripts/accept.lua",
        "redis.call('ZADD', pending, unpack(entries, first, math.min(first + 999, #entries)))",
        "local _ = first",
        _pytest("tests/contract/cache/test_accepting.py", "-k", "embedded"),
    ),
    Mutation(
        "drop the pending mark (memory)",
        "messaging/testing/cache_accepting.py",
        "            self.pending_set.times[message.id] = message.send_time\n",
        "",
        _simulator(2_000),
    ),
    Mutation(
        "PERSIST overwrites RECALL (join)",
        "messaging/domain/message.py",
        "if one.status >= other.status else",
        "if one.status <= other.status else",
        _simulator(500),
    ),
    Mutation(
        "PERSIST overwrites RECALL (SQL)",
        "messaging/store/message_table.py",
        "status = f\"{greatest}(status, {given('status')})\"",
        "status = given('status')",
        _pytest("tests/integration/test_database_store.py", "-k", "never_take_a_recall_back"),
    ),
    Mutation(
        "the consumer does not look at recall marks",
        "messaging/pipeline/write_through.py",
        "            marks = await self.cache.recall_marks(unrecalled)\n",
        "            marks = {}\n            await self.cache.recall_marks(unrecalled)\n",
        _pytest("tests/unit/pipeline", "tests/unit/service"),
    ),
    Mutation(
        "the recall mark has a short time to live",
        "messaging/cache/scripts/set_recall_mark.lua",
        "redis.call('SET', cancel, recall, 'NX')",
        "redis.call('SET', cancel, recall, 'NX', 'EX', 600)",
        _pytest("tests/contract/cache/test_recalls.py", "-k", "embedded"),
    ),
    Mutation(
        "show messages below the reader's floor on a page",
        "messaging/service/history_pages.py",
        "if reader.may_see(message.id, view.deleted)]",
        "if message.id not in view.deleted]",
        _pytest("tests/unit/service/test_group_floors.py"),
    ),
    Mutation(
        "show a message below the reader's floor by its id",
        "messaging/service/fetch.py",
        "    if not reader.may_see(message_id, deleted):\n",
        "    if message_id in deleted:\n",
        _pytest("tests/unit/service/test_group_floors.py"),
    ),
    Mutation(
        "recall and delete below the reader's floor",
        "messaging/service/access.py",
        "    if not reader.may_see(found.message.id):\n        raise MessageNotFound\n",
        "",
        _pytest("tests/unit/service/test_group_floors.py"),
    ),
    Mutation(
        "read a page by a membership that is in doubt",
        "messaging/service/history_pages.py",
        "        self.reader.heed(None if tail is AWAY else tail.guard)\n",
        "",
        _pytest("tests/unit/service/test_group_rights.py"),
    ),
    Mutation(
        "read a message by a membership that is in doubt",
        "messaging/service/access.py",
        "        if guard <= access.asked_after:\n",
        "        if True:\n",
        _pytest("tests/unit/service/test_group_rights.py"),
    ),
    Mutation(
        "believe a remembered membership for a message of the database",
        "messaging/service/access.py",
        "return None if row is None else _Found(row, None)",
        "return None if row is None else _Found(row, 0)",
        _pytest("tests/unit/service/test_group_rights.py"),
    ),
    Mutation(
        "send past the guard",
        "messaging/pipeline/commit.py",
        "                        asked_after=[send.asked_after for send in group],\n",
        "",
        _pytest("tests/unit/service/test_group_rights.py"),
    ),
    Mutation(
        "send synchronously past the guard",
        "messaging/service/send_sync.py",
        "            await judge(backends, message, right)\n",
        "",
        _pytest("tests/unit/service/test_group_rights.py"),
    ),
    Mutation(
        "send to a group by a remembered membership without the cache",
        "messaging/pipeline/commit.py",
        "self._without_cache(beyond_doubt(group))",
        "self._without_cache(group)",
        _pytest("tests/unit/service/test_group_rights.py"),
    ),
    Mutation(
        "give a send another id that the cache may have taken already",
        "messaging/service/send.py",
        "            if message.send_time <= doubt.not_before_ms:\n",
        "            if True:\n",
        _pytest("tests/unit/service/test_group_rights.py"),
    ),
    Mutation(
        "send to a dissolved group",
        "messaging/service/send_right.py",
        "    if group.is_dissolved:\n        raise GroupDissolved\n",
        "",
        _pytest("tests/unit/service/test_group_rights.py"),
    ),
    Mutation(
        "send while muted",
        "messaging/service/send_right.py",
        "    if member.is_muted(now_ms):\n",
        "    if False:\n",
        _pytest("tests/unit/service/test_group_rights.py"),
    ),
    Mutation(
        "send while all are muted",
        "messaging/service/send_right.py",
        "    if group.is_all_muted and",
        "    if False and",
        _pytest("tests/unit/service/test_group_rights.py"),
    ),
    Mutation(
        "recall the message of a higher role",
        "messaging/service/recall.py",
        "return own.role.is_above(Role.MEMBER if member is None else member.role)",
        "return True",
        _pytest("tests/unit/service/test_group_recalls.py"),
    ),
    Mutation(
        "store a recall without who recalled",
        "messaging/pipeline/write_through.py",
        "[m.under(marks[m.id]) if",
        "[m.recalled(marks[m.id].time) if",
        _pytest("tests/unit/service/test_group_recalls.py"),
    ),
    Mutation(
        "fill the shared cache with one reader's rows",
        "messaging/service/history_pages.py",
        "        tail = await store.tail(self.conversation, limit=FILL_ROWS)\n",
        "        tail = await store.tail(self.conversation, limit=FILL_ROWS)\n"
        "        hidden = await store.deleted_among(self.reader_id, [r.id for r in tail.rows])\n"
        "        tail = replace(tail, rows=tuple(r for r in tail.rows if r.id not in hidden))\n",
        _simulator(1_000),
    ),
    Mutation(
        "give seq out of the cache",
        "messaging/pipeline/write_through.py",
        "                await self.cache.mark_stored(rows)\n",
        "                from msgspec.structs import replace\n\n"
        "                count = await self.cache.pending_count()\n"
        "                told = [replace(row, seq=count + at) for at, row in enumerate(rows)]\n"
        "                await self.cache.mark_stored(told)\n",
        _simulator(500),
    ),
    Mutation(
        "acknowledge a delete that the cache was not told of",
        "messaging/pipeline/write_through.py",
        "            await self.cache.add_deletes(user_id, hidden)\n",
        "            pass\n",
        _simulator(1_000),
    ),
    Mutation(
        "acknowledge a delete without a note for an absent cache",
        "messaging/pipeline/write_through.py",
        "            await self.hints.record([CacheHint(each, user_id) for each in hidden])\n",
        "            pass\n",
        _simulator(4_000),
    ),
    Mutation(
        "a delete does not follow its message where it was deduplicated",
        "messaging/pipeline/write_through.py",
        "repeat = message if message.seq is None else None",
        "repeat = None",
        _pytest("tests/unit/pipeline"),
    ),
    Mutation(
        "miss no process that may have hints",
        "messaging/cache/scripts/heartbeat.lua",
        "if missed > 0 or tonumber(complete_from) > now + 1 then",
        "if false then",
        _pytest("tests/contract/cache/test_health.py", "-k", "embedded"),
    ),
    Mutation(
        "acknowledge a recall without a note for an absent cache",
        "messaging/pipeline/write_through.py",
        "        hinted = not self.hints.breaker.is_closed\n",
        "        hinted = False\n",
        _pytest("tests/unit/pipeline"),
    ),
    Mutation(
        "acknowledge a recall that nothing has confirmed",
        "messaging/service/recall.py",
        "        await _clear_marks(backends, tombstones)\n"
        "        raise TemporarilyUnavailable from failed[0]\n",
        "        logger.info(failed[0])\n",
        _simulator(4_000),
    ),
    Mutation(
        "acknowledge a message that nothing has confirmed",
        "messaging/pipeline/commit.py",
        "            elif send.cached:\n                send.resolve(Durability.CACHE)\n",
        "            else:\n                send.resolve(Durability.CACHE)\n",
        _simulator(1_000),
    ),
    Mutation(
        "leave it to chance whether a failed commit is made again",
        "messaging/pipeline/consumer.py",
        "            self._behind = True  # no later batch may follow that commits for this one\n",
        "",
        _simulator(1_000),
    ),
    Mutation(
        "do not tell the cache what a repeat was deduplicated into",
        "messaging/pipeline/write_through.py",
        "for row in (*self.duplicates.values(), *self.rows)}",
        "for row in self.rows}",
        _pytest("tests/unit/pipeline"),
    ),
    Mutation(
        "lead no deduplicated id to its message",
        "messaging/store/apply.py",
        "        tables.insert_aliases(owners)\n",
        "",
        _pytest("tests/contract/store/test_keys.py"),
    ),
    Mutation(
        "rest a retry on a reserved key whose message may have failed",
        "messaging/pipeline/known_sends.py",
        "if record is not None and not record.is_stored:",
        "if False:",
        _pytest("tests/unit/service"),
    ),
    Mutation(
        "show the copies that an earlier start of Redis has left",
        "messaging/cache/scripts/parts/incarnation.lua",
        "now_ms - noticed_ms < DETAIL_TTL_S * 1000",
        "false",
        _pytest("tests/contract/cache/test_restart.py", "-k", "embedded"),
    ),
    Mutation(
        "believe a list that was complete at an earlier start of Redis",
        "messaging/cache/scripts/parts/incarnation.lua",
        "  if value and string.sub(value, 1, #present) == present then\n",
        "  if value then\n",
        _pytest("tests/contract/cache/test_restart.py", "-k", "embedded"),
    ),
    Mutation(
        "believe what a cache has that was started again",
        "messaging/pipeline/hints.py",
        "                await self._delivery.refresh_pending()\n",
        "                pass\n",
        _pytest("tests/unit/pipeline/test_hints_return.py", "-k", "forgets_no_recall"),
    ),
    Mutation(
        "tell a cache that was started again nothing that it alone was told",
        "messaging/pipeline/hints.py",
        "            self._kept.lose_recent(self.breaker.opened_s)\n",
        "",
        _simulator(2_000),
    ),
    Mutation(
        "believe the rows of a store that has not caught up",
        "messaging/pipeline/catch_up.py",
        "        return not self._store.is_closed or self._return_s != self._store.closed_s\n",
        "        return not self._store.is_closed\n",
        _pytest("tests/unit/pipeline"),
    ),
    Mutation(
        "call a page whole while the cache may lack messages",
        "messaging/service/history_pages.py",
        "            partial=tail.recovering or total is None,\n",
        "            partial=total is None,\n",
        _pytest("tests/unit/service"),
    ),
    Mutation(
        "write under a worker id that is another's",
        "messaging/cache/scripts/accept.lua",
        "  if holder and holder ~= owner then return false end\n",
        "",
        _pytest("tests/contract/cache/test_accepting.py", "-k", "embedded"),
    ),
    Mutation(
        "keep no alias of a deduplicated id",
        "messaging/store/apply.py",
        "        tables.insert_aliases(owners)\n",
        "",
        _pytest("tests/contract/store/test_keys.py", "-k", "leads_by_its_id"),
    ),
    Mutation(
        "reserve no key for a message that is deleted before it is stored",
        "messaging/store/key_table.py",
        "        record = self.reserve_keys({key: IdempotencyRecord.of(message)})[key]\n",
        "        own = IdempotencyRecord.of(message)\n"
        "        record = self.idempotency_records([key]).get(key, own)\n",
        _pytest("tests/contract/store/test_keys.py", "-k", "takes_the_id"),
    ),
    Mutation(
        "forget who has deleted an attempt whose key another takes over",
        "messaging/store/apply.py",
        "        inherited = _hand_over_deletes(tables, heirs)\n",
        "        inherited: list[tuple[int, int]] = []\n",
        _pytest("tests/contract/store/test_keys.py", "-k", "whose_key_it_takes_over"),
    ),
    Mutation(
        "forget the pending attempt that a key leads to (Redis)",
        "messaging/cache/scripts/mark_duplicates.lua",
        "  if not names_attempt(key, record) then ",
        "  if true then ",
        _pytest("tests/contract/cache/test_marking.py", "-k", "embedded"),
    ),
    Mutation(
        "heed no process that alone has lost Redis",
        "messaging/pipeline/cache_loss.py",
        "                if await self._store.is_loss_announced(besides=self._process):\n",
        "                if False:\n",
        _pytest("tests/unit/pipeline/test_cache_loss.py"),
    ),
    Mutation(
        "show no stored tombstone when its recall is repeated",
        "messaging/service/recall.py",
        "        if cached is not None and not cached.is_recalled:",
        "        if False:",
        _pytest("tests/unit/pipeline/test_hints.py", "-k", "back_meanwhile"),
    ),
    Mutation(
        "recall one attempt of a send and not the others",
        "messaging/service/recall.py",
        "    others = await other_attempts(backends, message, asked_id=message_id)\n",
        "    others = []\n",
        _pytest("tests/unit/service/test_told_ids.py", "-k", "recall_by_either_id"),
    ),
    Mutation(
        "give up the write to Redis of a send whose time has ended",
        "messaging/pipeline/hints.py",
        "            await asyncio.shield(writing)\n",
        "            await writing\n",
        _pytest("tests/unit/pipeline/test_hints.py", "-k", "its_time_is_over"),
    ),
    Mutation(
        "forget the tombstone that came while its message was written",
        "messaging/pipeline/keeping.py",
        "        if self._messages.get(message.id) is not message:\n",
        "        if message.id not in self._messages:\n",
        _pytest("tests/unit/pipeline/test_hints.py", "-k", "recalled_while_it_is_written"),
    ),
    Mutation(
        "start without asking how long ago Redis has lost idempotency records",
        "messaging/pipeline/hints.py",
        "asyncio.get_running_loop().time() - seen.age_s\n",
        'float("-inf")\n',
        _pytest("tests/unit/pipeline/test_hints_at_start.py", "-k", "records_were_lost"),
    ),
    Mutation(
        "heed no doubt about everybody in a group (Redis)",
        "messaging/cache/scripts/parts/guard.lua",
        "math.max(tonumber(scores[1] or 0), tonumber(scores[2] or 0))",
        "tonumber(scores[1] or 0)",
        _pytest("tests/contract/cache/test_guards.py", "-k", "embedded"),
    ),
    Mutation(
        "refuse a right that was asked for after the doubt (Redis)",
        "messaging/cache/scripts/parts/guard.lua",
        "if score <= tonumber(asked_after) then",
        "if score < tonumber(asked_after) then",
        _pytest("tests/contract/cache/test_guards.py", "-k", "embedded"),
    ),
    Mutation(
        "raise two doubts of one millisecond by one score (Redis)",
        "messaging/cache/scripts/distrust.lua",
        "math.max(guard_time() + DISTRUSTED_MS, tonumber(newest or 0) + 1)",
        "guard_time() + DISTRUSTED_MS",
        _pytest("tests/contract/cache/test_guards.py", "-k", "embedded"),
    ),
    Mutation(
        "distrust for ever (Redis)",
        "messaging/cache/scripts/parts/guard.lua",
        "  if newest > 0 and newest <= guard_time() then newest = 0 end\n",
        "",
        _pytest("tests/contract/cache/test_guards.py", "-k", "embedded"),
    ),
    Mutation(
        "take a message of the floor's own millisecond (Redis)",
        "messaging/cache/scripts/parts/guard.lua",
        "if floor_ms < tonumber(send_time) then",
        "if floor_ms <= tonumber(send_time) then",
        _pytest("tests/contract/cache/test_guards.py", "-k", "embedded"),
    ),
    Mutation(
        "open a floor below the newest listed message (Redis)",
        "messaging/cache/scripts/open_floor.lua",
        "math.max(now_ms, newest_ms)",
        "now_ms",
        _pytest("tests/contract/cache/test_guards.py", "-k", "embedded"),
    ),
    Mutation(
        "guard a group against the repeat of a send (Redis)",
        "messaging/cache/scripts/accept.lua",
        "  return first or verdict\n",
        "  return verdict\n",
        _pytest("tests/contract/cache/test_guards.py", "-k", "embedded"),
    ),
    Mutation(
        "let the larger id of two recalls at one time count (Redis)",
        "messaging/cache/scripts/parts/state.lua",
        "string.format('%19s%19s', time, by) <",
        "string.format('%19s%19s', time, by) >",
        _pytest("tests/contract/cache/test_joins.py", "-k", "redis"),
    ),
    Mutation(
        "let a join of a group lower the floor",
        "messaging/store/group_tables.py",
        'f"{greatest}({column}, {given(column)})"',
        "given(column)",
        _pytest("tests/contract/groups/test_floors.py"),
    ),
    Mutation(
        "let a join of a group lower the floor (memory)",
        "messaging/testing/groups.py",
        "floor_id=max(row.floor_id, floor[0])",
        "floor_id=floor[0]",
        _pytest("tests/contract/groups/test_floors.py"),
    ),
    Mutation(
        "show a new member of a group what was stored under a later clock",
        "messaging/store/changing.py",
        "(max(order.floor_id, last_id), last_seq)",
        "(order.floor_id, last_seq)",
        _pytest("tests/contract/groups/test_floors.py"),
    ),
    Mutation(
        "show a new member of a group what is under way",
        "messaging/store/changing.py",
        "(max(order.floor_id, last_id), last_seq)",
        "(last_id, last_seq)",
        _pytest("tests/contract/groups/test_floors.py"),
    ),
    Mutation(
        "change a group outside of a transaction",
        "messaging/store/changing.py",
        "    with transaction.atomic(using=connection.alias):\n        group = ",
        "    if True:\n        group = ",
        _pytest("tests/contract/groups/test_changing.py", "-k", "gets_no_id"),
    ),
    Mutation(
        "count members of a group who were gone already",
        "messaging/store/changing.py",
        "len(joined) - gone",
        "len(joined) - len(change.leaves)",
        _pytest("tests/contract/groups/test_changing.py", "-k", "gone_already"),
    ),
    Mutation(
        "make a second group for a repeated request",
        "messaging/store/changing.py",
        "        if known is not None:",
        "        if False:",
        _pytest("tests/contract/groups/test_creating.py", "-k", "request_id"),
    ),
    Mutation(
        "leave the old owner of a group its owner in the store",
        "messaging/store/group_tables.py",
        "values = [each.role.value, each.nickname",
        "values = [max(each.role.value, 'member'), each.nickname",
        _pytest("tests/contract/groups/test_side_by_side.py"),
    ),
    Mutation(
        "begin a private conversation without its participants",
        "messaging/store/apply.py",
        "        tables.insert_participants(_first_participants(fresh.values()))\n",
        "",
        _pytest("tests/contract/groups/test_private_participants.py"),
    ),
    Mutation(
        "find nothing wrong with a group that nobody owns",
        "messaging/audit/groups.py",
        "headcount.owners != 1 and",
        "headcount.owners > 1 and",
        _pytest("tests/unit/audit/test_groups.py"),
    ),
    Mutation(
        "leave an old group two owners",
        "messaging/migrations/0013_participants.py",
        "            own.filter(role='owner').exclude(pk=owner.pk).update(role='admin')\n",
        "",
        _pytest("tests/integration/test_migrations.py", "-k", "one_owner"),
    ),
    Mutation(
        "share a look-up that began before the doubt",
        "messaging/directory/group_answers.py",
        "        return not self.has_begun or 0 < after <= self.after\n",
        "        return True\n",
        _pytest("tests/contract/directory/test_groups.py", "-k", "UnderWay"),
    ),
    Mutation(
        "keep a group that was read before the doubt",
        "messaging/directory/known_groups.py",
        "        self._groups.overtake(group_id)\n        asking = ",
        "        asking = ",
        _pytest("tests/contract/directory/test_groups.py", "-k", "UnderWay"),
    ),
    Mutation(
        "answer an asked question by a score that is older",
        "messaging/directory/known_groups.py",
        "0 < after <= kept.value.asked_after:",
        "kept.value.asked_after >= 0:",
        _pytest("tests/contract/directory/test_groups.py", "-k", "TestAsking"),
    ),
    Mutation(
        "answer from the whole group for a member who has changed",
        "messaging/directory/known_groups.py",
        "            group.set_apart(user_id)\n",
        "",
        _pytest("tests/contract/directory/test_groups.py", "-k", "TestAChange"),
    ),
    Mutation(
        "answer from the whole group for a member who was asked about",
        "messaging/directory/known_groups.py",
        "            last.value.set_apart(user_id)\n",
        "            pass\n",
        _pytest("tests/contract/directory/test_groups.py", "-k", "TestAsking"),
    ),
    Mutation(
        "believe in an outsider as long as in a member",
        "messaging/directory/group_answers.py",
        "return MEMBERSHIP_TTL_S - access_ttl_s(access)",
        "return 0.0",
        _pytest("tests/contract/directory/test_groups.py", "-k", "outsider"),
    ),
)
