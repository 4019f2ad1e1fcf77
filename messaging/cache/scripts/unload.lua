-- Drop a loaded mark, and ids from its list that are not pending.
--
-- KEYS  list, loaded mark, pending set
-- ARGV  the ids

redis.call('DEL', KEYS[2])
for _, id in ipairs(ARGV) do
  if not redis.call('ZSCORE', KEYS[3], id) then redis.call('LREM', KEYS[1], 0, id) end
end
