-- Claim a clientMsgId for a message, unless another message has the claim.
--
-- KEYS  claim
-- ARGV  the claim of the message
-- Reply the claim of another message, or nil: this message has the claim

if redis.call('SET', KEYS[1], ARGV[1], 'EX', CLAIM_TTL_S, 'NX') then return false end
local first = redis.call('GET', KEYS[1])
return first ~= ARGV[1] and first
