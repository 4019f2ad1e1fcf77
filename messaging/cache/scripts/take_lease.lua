-- Take a lease that is free, or renew one's own.
--
-- KEYS  lease
-- ARGV  owner, life (ms)
-- Reply 1, or 0 when another owner holds the lease
--
-- The script must go through when memory is full (see mark_stored), hence PEXPIRE comes first.

local lease, owner, life_ms = KEYS[1], ARGV[1], ARGV[2]
local holder = redis.call('GET', lease)
if holder and holder ~= owner then
  -- All owners ask for the same life, so a longer rest of life means that the server's clock was
  -- set back since.
  if redis.call('PTTL', lease) > tonumber(life_ms) then redis.call('PEXPIRE', lease, life_ms) end
  return 0
end
redis.call('PEXPIRE', lease, life_ms)
if not holder then redis.call('SET', lease, owner, 'PX', life_ms) end
return 1
