-- Part: read down to which id a user's set of deletes is complete.

-- Return the floor, or nil when it is not known. The floor counts only while the set has the member
-- ">{floor}" too, because Redis may evict either key alone.
local function deletes_floor(deleted, floor_key)
  local floor = redis.call('GET', floor_key)
  if floor and redis.call('SISMEMBER', deleted, '>' .. floor) == 1 then return floor end
  return nil
end
