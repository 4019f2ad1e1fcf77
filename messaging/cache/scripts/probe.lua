-- Write something, which Redis refuses when it is full or a replica; and note an epoch.
--
-- KEYS  epoch
-- ARGV  1 when a process has just come back to Redis: an epoch begins

local now = redis.call('TIME')[1]
if ARGV[1] == '1' then
  redis.call('SET', KEYS[1], now)
else
  redis.call('SET', KEYS[1], now, 'NX')
end
