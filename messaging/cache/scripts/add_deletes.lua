-- Add to a user's deletes. Uses tail, deletes.
--
-- KEYS  the user's deletes
-- ARGV  the id above which they are complete now ('' when that is not known), the ids

local floor = ARGV[1]
for first = 2, #ARGV, 1000 do
  redis.call('SADD', KEYS[1], unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
if floor ~= '' then
  local known = deletes_floor(KEYS[1])
  if not known or newer(known, floor) then
    if known then redis.call('SREM', KEYS[1], '>' .. known) end
    redis.call('SADD', KEYS[1], '>' .. floor)
  end
end
redis.call('EXPIRE', KEYS[1], DELETED_TTL_S)
