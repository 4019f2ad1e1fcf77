-- Return a user's cached deletes, and the id down to which they are complete. Uses incarnation,
-- tail, deletes.
--
-- KEYS  the user's deletes, the user's floors
-- Reply the members of the set, floor (nil when not known); field, value, field, value … of the
--       floors

local floor = deletes_floor(KEYS[1], KEYS[2])
return { redis.call('SMEMBERS', KEYS[1]), floor or false, redis.call('HGETALL', KEYS[2]) }
