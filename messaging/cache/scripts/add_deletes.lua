-- Add to a user's deletes, and raise the user's floors. Uses incarnation, tail, deletes.
--
-- KEYS  the user's deletes, the user's floors
-- ARGV  the id above which the deletes are complete now, and all floors are known ('' when no such
--       id is known); the number of floors; for each one: conversation, "{floor_id}:{floor_seq}";
--       the ids

local deleted, floors, floor = KEYS[1], KEYS[2], ARGV[1]
local ids_from = 3 + 2 * tonumber(ARGV[2])
raise_floors(floors, 3, ids_from - 1)
for first = ids_from, #ARGV, 1000 do
  redis.call('SADD', deleted, unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
if floor ~= '' then
  local known = deletes_floor(deleted, floors)
  if not known or newer(known, floor) then set_deletes_floor(deleted, floors, floor) end
end
redis.call('EXPIRE', deleted, DELETED_TTL_S)
redis.call('EXPIRE', floors, DELETED_TTL_S)
