-- Return a user's cached deletes, and the id down to which they are complete. Uses incarnation,
-- deletes.
--
-- KEYS  the user's deletes, their floor
-- Reply the members of the set, floor (nil when not known)

return { redis.call('SMEMBERS', KEYS[1]), deletes_floor(KEYS[1], KEYS[2]) or false }
