-- Drop a loaded mark, and from its list those of the given ids that are not pending.
--
-- KEYS  list, loaded mark, pending set
-- ARGV  the ids

redis.call('DEL', KEYS[2])
for _, id in ipairs(ARGV) do
  if not redis.call('ZSCORE', KEYS[3], id) then redis.call('LREM', KEYS[1], 0, id) end
end
