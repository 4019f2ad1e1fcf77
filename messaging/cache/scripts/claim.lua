-- Claim a clientMsgId for a message, unless another has it.
--
-- KEYS  claim
-- ARGV  the claim of the message
-- Reply the earlier claim, or nil: it is this one's

if redis.call('SET', KEYS[1], ARGV[1], 'EX', CLAIM_TTL_S, 'NX') then return false end
local first = redis.call('GET', KEYS[1])
return first ~= ARGV[1] and first
