-- Part: read and set the id down to which a user's set of deletes is complete. Uses incarnation.
--
-- The floor counts only while the set has the member "={stamped floor}" too, because Redis may
-- evict either key alone.

-- Return the floor, or nil when it is not known.
local function deletes_floor(deleted, floor_key)
  local floor = redis.call('GET', floor_key)
  if floor and redis.call('SISMEMBER', deleted, '=' .. floor) == 1 then return unstamped(floor) end
  return nil
end

local function set_deletes_floor(deleted, floor_key, floor)
  local before = redis.call('GET', floor_key)
  if before then redis.call('SREM', deleted, '=' .. before) end
  redis.call('SADD', deleted, '=' .. stamp() .. floor)
  redis.call('SET', floor_key, stamp() .. floor)
end
