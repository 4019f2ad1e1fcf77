-- Return a time that no listed message of a group is later than, and refuse from now on messages
-- that are not later. Uses incarnation, guard.
--
-- KEYS  list, guard
-- ARGV  now by the caller's clock (ms), the number of ids in a millisecond, the time (ms) of id 0
-- Reply the time (ms)
--
-- Lua rounds a large id, perhaps up to the next millisecond and never down below its own.

local list, guard = KEYS[1], KEYS[2]
local now_ms, ids_in_ms, epoch_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local newest = redis.call('LINDEX', list, 0)
local newest_ms = newest and math.floor(tonumber(newest) / ids_in_ms) + epoch_ms or 0
local floor_ms = math.max(now_ms, newest_ms)
redis.call('ZADD', guard, 'GT', string.format('%.0f', floor_ms), '^')
redis.call('PEXPIRE', guard, GUARD_TTL_MS)
return floor_ms
