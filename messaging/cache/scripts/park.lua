-- Let go of dead-lettered messages.
--
-- KEYS  pending set, attempts, lists and loaded marks, a detail each
-- ARGV  number of messages, where the details begin; for each: id, where its list is

local count, details = tonumber(ARGV[1]), tonumber(ARGV[2])
for n = 1, count do
  local id, list = ARGV[2 * n + 1], tonumber(ARGV[2 * n + 2])
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
  redis.call('EXPIRE', KEYS[details + n - 1], DETAIL_TTL_S)
  -- Whether the conversation has it, the store alone decides from here on.
  redis.call('LREM', KEYS[list], 1, id)
  redis.call('DEL', KEYS[list + 1])
end
