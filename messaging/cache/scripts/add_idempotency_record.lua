-- Add the idempotency record of a message, unless another message has its key.
--
-- KEYS  idempotency record
-- ARGV  the idempotency record of the message
-- Reply the idempotency record of another message, or nil: this message has its own

local key, record = KEYS[1], ARGV[1]
if redis.call('SET', key, record, 'EX', IDEMPOTENCY_TTL_S, 'NX') then return false end
local first = redis.call('GET', key)
return first ~= record and first
