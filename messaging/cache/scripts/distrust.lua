-- Doubt the rights of some users in a group. Uses incarnation, guard.
--
-- KEYS  guard
-- ARGV  the users' ids, or '*' for everybody
--
-- A score is larger than all scores of the key before, the lost ones too, so that whoever has asked
-- after a score has asked after every doubt with a smaller one.

local guard = KEYS[1]
local newest = redis.call('ZREVRANGE', guard, 0, 0, 'WITHSCORES')[2]
local score = math.max(guard_time() + DISTRUSTED_MS, tonumber(newest or 0) + 1, lost_score() + 1)
local text = string.format('%.0f', score)
local floor = redis.call('ZSCORE', guard, '^')
redis.call('ZREMRANGEBYSCORE', guard, '-inf', guard_time()) -- or a busy group's key grows for ever
if floor then redis.call('ZADD', guard, floor, '^') end
for _, user in ipairs(ARGV) do redis.call('ZADD', guard, text, user) end
redis.call('PEXPIRE', guard, GUARD_TTL_MS)
