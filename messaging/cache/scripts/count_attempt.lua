-- Count an attempt to persist messages that are still pending. Uses rows, incarnation, tail.
--
-- KEYS  pending set, attempts
-- ARGV  for each message: id, conversation
-- Reply the attempts of each message, 0 for a message that is not pending any more
--
-- The script must go through when memory is full (see mark_stored), hence PERSIST, in `keep`, comes
-- first.

local pending, attempts = unpack(KEYS)
local counts = {}
for id, conversation in rows(2, 0) do
  local list, loaded, count = TAIL .. conversation, LOADED .. conversation, 0
  if redis.call('ZSCORE', pending, id) then
    keep(list, loaded)
    count = redis.call('HINCRBY', attempts, id, 1)
    add(list, loaded, pending, id)
  end
  counts[#counts + 1] = count
end
return counts
