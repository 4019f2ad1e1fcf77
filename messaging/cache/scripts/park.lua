-- Let go of dead-lettered messages. Uses tail, bytes.
--
-- KEYS  pending set, attempts, pending bytes, lists and loaded marks, a detail each
-- ARGV  number of messages, where the details begin; for each: id, where its list is

local count, details = tonumber(ARGV[1]), tonumber(ARGV[2])
local freed, touched = 0, {}
for n = 1, count do
  local id, list = ARGV[2 * n + 1], tonumber(ARGV[2 * n + 2])
  local detail = KEYS[details + n - 1]
  if redis.call('ZREM', KEYS[1], id) == 1 then freed = freed + redis.call('STRLEN', detail) end
  redis.call('HDEL', KEYS[2], id)
  redis.call('EXPIRE', detail, DETAIL_TTL_S)
  -- Whether the conversation has it, the store alone decides from here on.
  redis.call('LREM', KEYS[list], 1, id)
  redis.call('DEL', KEYS[list + 1])
  touched[list] = true
end
release(KEYS[1], KEYS[3], freed)
for list in pairs(touched) do age_unless_pending(KEYS[list], KEYS[list + 1], KEYS[1]) end
