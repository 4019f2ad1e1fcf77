-- Drop a loaded mark, and from its list those of the given ids that are not pending.
--
-- KEYS  list, loaded mark, pending set
-- ARGV  the ids

local list, loaded, pending = unpack(KEYS)
redis.call('DEL', loaded)
for _, id in ipairs(ARGV) do
  if not redis.call('ZSCORE', pending, id) then redis.call('LREM', list, 0, id) end
end
