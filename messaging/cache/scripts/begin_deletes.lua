-- Return the token that a user's deletes and floors bear, or give them a new one. Uses incarnation,
-- tail, deletes.
--
-- KEYS  the user's deletes, the user's floors
-- ARGV  a new token
-- Reply the token

local deleted, floors, new = KEYS[1], KEYS[2], ARGV[1]
local token = fill_of(deleted, floors)
if token then return token end
local before = string.match(redis.call('HGET', floors, '') or '', '/(%x+)')
if before then redis.call('SREM', deleted, '=' .. before) end
redis.call('SADD', deleted, '=' .. new)
redis.call('HSET', floors, '', stamp() .. new)
redis.call('EXPIRE', deleted, DELETED_TTL_S)
redis.call('EXPIRE', floors, DELETED_TTL_S)
return new
