-- Add to a user's deletes. Uses incarnation, tail, deletes.
--
-- KEYS  the user's deletes, their floor
-- ARGV  the id above which the deletes are complete now ('' when no such id is known), the ids

local deleted, floor_key, floor = KEYS[1], KEYS[2], ARGV[1]
for first = 2, #ARGV, 1000 do
  redis.call('SADD', deleted, unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
if floor ~= '' then
  local known = deletes_floor(deleted, floor_key)
  if not known or newer(known, floor) then set_deletes_floor(deleted, floor_key, floor) end
end
redis.call('EXPIRE', deleted, DELETED_TTL_S)
redis.call('EXPIRE', floor_key, DELETED_TTL_S)
