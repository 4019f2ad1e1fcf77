-- Return a whole list with its loaded mark.
--
-- KEYS  list, loaded mark
-- Reply ids, mark (nil for none)

return { redis.call('LRANGE', KEYS[1], 0, -1), redis.call('GET', KEYS[2]) }
