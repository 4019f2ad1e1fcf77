-- Drop the pending marks and list entries of dead-lettered messages. Uses incarnation, tail, bytes.
--
-- KEYS  pending set, attempts, pending bytes, lists and loaded marks, a detail for each message
-- ARGV  number of messages, index of the first detail; for each message: id, index of its list

local count, details = tonumber(ARGV[1]), tonumber(ARGV[2])
local freed, touched = 0, {}
for n = 1, count do
  local id, list = ARGV[2 * n + 1], tonumber(ARGV[2 * n + 2])
  local detail = KEYS[details + n - 1]
  if redis.call('ZREM', KEYS[1], id) == 1 then freed = freed + redis.call('STRLEN', detail) end
  redis.call('HDEL', KEYS[2], id)
  redis.call('EXPIRE', detail, DETAIL_TTL_S)
  -- The store alone decides from here on whether the conversation has the message.
  redis.call('LREM', KEYS[list], 1, id)
  redis.call('DEL', KEYS[list + 1])
  touched[list] = true
end
release(KEYS[1], KEYS[3], freed)
for list in pairs(touched) do age_unless_pending(KEYS[list], KEYS[list + 1], KEYS[1]) end
