-- Forget messages that repeat an earlier send. Uses tail, bytes.
--
-- KEYS  pending set, attempts, pending bytes, lists and loaded marks, then for each message its detail, its
--       recall mark and the claim of the pair that it repeats
-- ARGV  number of messages, where the details begin; for each: id, where its list is (0: unknown),
--       the claim of the first send

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
    redis.call('DEL', KEYS[list + 1]) -- it was counted, perhaps in the place of one that is missing
  end
  redis.call('DEL', KEYS[at], KEYS[at + 1])
  redis.call('SET', KEYS[at + 2], claim, 'EX', CLAIM_TTL_S)
end
release(KEYS[1], KEYS[3], freed)
for list in pairs(touched) do age_unless_pending(KEYS[list], KEYS[list + 1], KEYS[1]) end
