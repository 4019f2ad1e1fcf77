-- Claim a clientMsgId for a message, unless another message has the claim.
--
-- KEYS  claim
-- ARGV  the claim of the message
-- Reply the claim of another message, or nil: this message has the claim

local key, claim = KEYS[1], ARGV[1]
if redis.call('SET', key, claim, 'EX', CLAIM_TTL_S, 'NX') then return false end
local first = redis.call('GET', key)
return first ~= claim and first
