-- Drop the pending marks and list entries of dead-lettered messages. Uses rows, incarnation, tail,
-- pending.
--
-- KEYS  pending set, attempts, pending bytes
-- ARGV  for each message: id, conversation

local pending, attempts, pending_bytes = unpack(KEYS)
local freed, touched = 0, {}
for id, conversation in rows(2, 0) do
  freed = freed + drop_pending(pending, attempts, id)
  redis.call('EXPIRE', DETAIL .. id, DETAIL_TTL_S)
  -- The store alone decides from here on whether the conversation has the message.
  redis.call('LREM', TAIL .. conversation, 1, id)
  redis.call('DEL', LOADED .. conversation)
  touched[conversation] = true
end
release(pending, pending_bytes, freed)
for conversation in pairs(touched) do
  age_unless_pending(TAIL .. conversation, LOADED .. conversation, pending)
end
