-- Fill a user's participants with those of the database. Uses incarnation, rates, tail, heads.
--
-- KEYS  the user's participants
-- ARGV  token; for each conversation: id, participant

local mine, token = KEYS[1], ARGV[1]
if redis.call('HGET', mine, FILLING) ~= token or not begin_of(token) then return end
redis.call('DEL', mine)
redis.call('HSET', mine, FILLED, token)
for first = 2, #ARGV, 1000 do
  redis.call('HSET', mine, unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
redis.call('EXPIRE', mine, LISTING_TTL_S)
