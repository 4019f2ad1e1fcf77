-- Write a heartbeat, which Redis refuses when Redis is full or a replica. Uses incarnation.
--
-- The first heartbeat after a start of the server begins a new incarnation. A process whose
-- heartbeats stopped may have accepted messages that Redis was never given, so Redis is complete
-- only from some seconds later on. A time in the future was written before the server's clock was
-- set back, and is replaced by the present time.
--
-- KEYS  incarnation, heartbeats, held, bytes of the pending messages
-- ARGV  the name of the process, if the others are to notice its end
-- Reply the id of this start of the server, the time since its first heartbeat (ms), the bytes of
--       the pending messages, 1 if Redis has recovered from this start, 1 if a consumer has a held
--       partition, 1 if another named process writes heartbeats

local id, time, held = current_id(), redis.call('TIME'), redis.call('EXISTS', KEYS[3])
local bytes = tonumber(redis.call('GET', KEYS[4]) or 0)
local is_new = redis.call('HSETNX', KEYS[1], 'id', id) == 1
local now, now_ms = time[1] + time[2] / 1000000, time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[1] then redis.call('ZADD', KEYS[2], now, ARGV[1]) end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], now + SILENT_S, '+inf')) do
  redis.call('ZADD', KEYS[2], now, name)
end
local missed = redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - SILENT_S)
local others = redis.call('ZCARD', KEYS[2]) - (ARGV[1] and 1 or 0)
local is_vouched = others > 0 and 1 or 0

if is_new or redis.call('HGET', KEYS[1], 'id') ~= id then
  redis.call('HSET', KEYS[1], 'id', id, 'noticed_ms', string.format('%.0f', now_ms))
  redis.call('HDEL', KEYS[1], 'complete_from')
  return { id, 0, bytes, 0, held, is_vouched }
end
local noticed_ms, complete_from = unpack(incarnation())
if tonumber(noticed_ms) > now_ms + 1000 then
  redis.call('HSET', KEYS[1], 'noticed_ms', string.format('%.0f', now_ms))
end
local age_ms = math.max(now_ms - noticed_ms, 0)
if not complete_from then return { id, age_ms, bytes, 0, held, is_vouched } end
if missed > 0 or tonumber(complete_from) > now + 1 then
  redis.call('HSET', KEYS[1], 'complete_from', time[1])
end
return { id, age_ms, bytes, 1, held, is_vouched }
