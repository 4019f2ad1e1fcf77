-- Count an attempt to persist messages that are still pending. Uses memory, tail.
--
-- KEYS  pending set, attempts, lists and loaded marks
-- ARGV  number of messages; for each: id, where its list is
-- Reply the attempts of each, 0 for one that is not pending any more

local counts, touched = {}, {}
for n = 1, tonumber(ARGV[1]) do
  local id, list = ARGV[2 * n], tonumber(ARGV[2 * n + 1])
  counts[n] = 0
  if redis.call('ZSCORE', KEYS[1], id) then
    counts[n] = redis.call('HINCRBY', KEYS[2], id, 1)
    add(KEYS[list], KEYS[list + 1], KEYS[1], id)
    touched[list] = true
  end
end
for list in pairs(touched) do keep(KEYS[list], KEYS[list + 1]) end
return counts
