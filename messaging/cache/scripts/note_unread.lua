-- Cache numbers of unread messages.
--
-- KEYS  the user's numbers
-- ARGV  for each conversation: id, number

for first = 1, #ARGV, 1000 do
  redis.call('HSET', KEYS[1], unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
redis.call('EXPIRE', KEYS[1], LISTING_TTL_S)
