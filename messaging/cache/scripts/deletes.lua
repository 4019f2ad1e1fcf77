-- Part: a user's set of deleted ids, and how far down it is complete.
--
-- The floor counts while the set has the member ">{floor}" too, for Redis may evict either alone.

local function deletes_floor(deleted, floor_key)
  local floor = redis.call('GET', floor_key)
  if floor and redis.call('SISMEMBER', deleted, '>' .. floor) == 1 then return floor end
  return nil
end
