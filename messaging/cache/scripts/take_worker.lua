-- Lease a worker id that is free, or renew one's own lease, and note the end of its ids' times.
--
-- KEYS  lease, times
-- ARGV  owner, life (ms), worker id, now by the owner's clock (ms), the end of its ids' times (ms)
-- Reply the last time (ms) that another owner's ids may have, 0 when none is known; nil when
--       another owner holds the lease, or when that last time is after now
--
-- The script must go through when memory is full (see mark_stored), hence PEXPIRE comes first.

local owner, life, node, now = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= owner then return false end
local used, by = string.match(redis.call('HGET', KEYS[2], node) or '', '^(%d+) (.+)$')
if not used or by == owner then used = 0 end
if tonumber(used) > now then return false end
redis.call('PEXPIRE', KEYS[1], life)
if not holder then redis.call('SET', KEYS[1], owner, 'PX', life) end
redis.call('HSET', KEYS[2], node, ARGV[5] .. ' ' .. owner)
return tonumber(used)
