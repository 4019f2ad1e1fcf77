-- Add to a user's deletes, and raise the user's floors. Uses incarnation, tail, deletes.
--
-- KEYS  the user's deletes, the user's floors
-- ARGV  the token of a fill ('' for none), the id above which the fill has all deletes; the number
--       of floors; for each one: conversation, "{floor_id}:{floor_seq}"; the ids

local deleted, floors, token, floor = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local ids_from = 4 + 2 * tonumber(ARGV[3])
raise_floors(floors, 4, ids_from - 1)
for first = ids_from, #ARGV, 1000 do
  redis.call('SADD', deleted, unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
local held, known = fill_of(deleted, floors)
if held and held == token and (known == '' or newer(known, floor)) then
  redis.call('HSET', floors, '', stamp() .. token .. ':' .. floor)
end
redis.call('EXPIRE', deleted, DELETED_TTL_S)
redis.call('EXPIRE', floors, DELETED_TTL_S)
