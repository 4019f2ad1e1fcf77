-- Return a whole list with its loaded mark. Uses incarnation, tail.
--
-- KEYS  list, loaded mark
-- Reply ids, mark (nil for none)

return { redis.call('LRANGE', KEYS[1], 0, -1), read_mark(KEYS[2]) or false }
