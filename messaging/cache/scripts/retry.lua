-- Count an attempt to persist messages that are still pending. Uses incarnation, tail.
--
-- KEYS  pending set, attempts, pending bytes, lists and loaded marks
-- ARGV  number of messages; for each message: id, index of its list
-- Reply the attempts of each message, 0 for a message that is not pending any more
--
-- The script must go through when memory is full (see mark_stored), hence PERSIST, in `keep`, comes
-- first.

local counts = {}
for n = 1, tonumber(ARGV[1]) do
  local id, list = ARGV[2 * n], tonumber(ARGV[2 * n + 1])
  counts[n] = 0
  if redis.call('ZSCORE', KEYS[1], id) then
    keep(KEYS[list], KEYS[list + 1])
    counts[n] = redis.call('HINCRBY', KEYS[2], id, 1)
    add(KEYS[list], KEYS[list + 1], KEYS[1], id)
  end
end
return counts
