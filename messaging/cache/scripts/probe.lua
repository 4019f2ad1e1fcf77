-- Write a heartbeat, which Redis refuses when Redis is full or a replica. Uses run.
--
-- A process whose heartbeats stopped may have accepted messages that Redis was never given, so an
-- epoch begins. A time in the future was written before the server's clock was set back, and is
-- replaced by the present time.
--
-- KEYS  epoch, run, present, held
-- ARGV  the name of the process that probes, if the process is to be missed
-- Reply the id of this run of the server, 1 if the run is settled, 1 if a consumer has a held
--       partition

local run, time, held = current_run(), redis.call('TIME'), redis.call('EXISTS', KEYS[4])
local now = time[1] + time[2] / 1000000
if ARGV[1] then redis.call('ZADD', KEYS[3], now, ARGV[1]) end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], now + SILENT_S, '+inf')) do
  redis.call('ZADD', KEYS[3], now, name)
end
local missed = redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - SILENT_S)
if redis.call('GET', KEYS[2]) ~= run then
  redis.call('SET', KEYS[1], UNSETTLED)
  return { run, 0, held }
end
local since = tonumber(redis.call('GET', KEYS[1]))
if missed > 0 or since and since > now + 1 then
  redis.call('SET', KEYS[1], time[1])
else
  redis.call('SET', KEYS[1], time[1], 'NX')
end
return { run, 1, held }
