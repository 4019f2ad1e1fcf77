-- Drop messages that repeat an earlier send. Uses incarnation, state, tail, bytes.
--
-- KEYS  pending set, attempts, pending bytes, lists and loaded marks; for each message: its detail,
--       its recall mark, the claim of the (sender, clientMsgId) that the message repeats
-- ARGV  number of messages, index of the first detail; for each message: id, index of its list
--       (0: unknown), the content of the first send's claim

local count, details = tonumber(ARGV[1]), tonumber(ARGV[2])
local freed, touched = 0, {}
for n = 1, count do
  local id, list, claim = unpack(ARGV, 3 * n, 3 * n + 2)
  local at = details + 3 * n - 3
  if redis.call('ZREM', KEYS[1], id) == 1 then freed = freed + redis.call('STRLEN', KEYS[at]) end
  redis.call('HDEL', KEYS[2], id)
  list = tonumber(list)
  if list > 0 then touched[list] = true end
  if list > 0 and redis.call('LREM', KEYS[list], 1, id) == 1 then
    redis.call('DEL', KEYS[list + 1]) -- the id was counted, perhaps in place of a missing one
  end
  redis.call('DEL', KEYS[at])
  drop_recall_mark(KEYS[at + 1])
  redis.call('SET', KEYS[at + 2], claim, 'EX', CLAIM_TTL_S)
end
release(KEYS[1], KEYS[3], freed)
for list in pairs(touched) do age_unless_pending(KEYS[list], KEYS[list + 1], KEYS[1]) end
