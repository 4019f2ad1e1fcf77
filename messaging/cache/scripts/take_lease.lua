-- Take a lease that is free, or renew one's own.
--
-- KEYS  lease
-- ARGV  owner, life (ms)
-- Reply 1, or 0 when another owner holds it
--
-- The script must go through when memory is full (see mark_stored), hence PEXPIRE comes first.

local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  -- All owners ask for the same life, so a longer rest of life means that the server's clock was
  -- set back since.
  if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
  return 0
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if not holder then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 1
