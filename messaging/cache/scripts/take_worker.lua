-- Lease a worker id that is free, or renew one's own lease, and note the end of its ids' times.
--
-- KEYS  lease, times
-- ARGV  owner, life (ms), worker id, now by the owner's clock (ms), the end of its ids' times (ms)
-- Reply the last time (ms) that another owner's ids may have, 0 when none is known; nil when
--       another owner holds the lease, or when that last time is after now
--
-- The script must go through when memory is full (see mark_stored), hence PEXPIRE comes first.

local lease, times = unpack(KEYS)
local owner, life_ms, node, now_ms, until_ms = unpack(ARGV)
local holder = redis.call('GET', lease)
if holder and holder ~= owner then return false end
local used, by = string.match(redis.call('HGET', times, node) or '', '^(%d+) (.+)$')
if not used or by == owner then used = 0 end
if tonumber(used) > tonumber(now_ms) then return false end
redis.call('PEXPIRE', lease, life_ms)
if not holder then redis.call('SET', lease, owner, 'PX', life_ms) end
redis.call('HSET', times, node, until_ms .. ' ' .. owner)
return tonumber(used)
