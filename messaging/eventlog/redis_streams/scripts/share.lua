-- Renew one's place in the group and one's leases. With 'take', also give back the leases beyond a
-- fair share, and take free leases up to a fair share.
-- KEYS: the readers, the leases ("until token" by partition), the committed positions.
-- ARGV: token, lease (ms), 'take' or 'keep', then the partitions, the preferred ones first.
-- Reply {partition, 0} for each kept lease and {partition, 1, committed position} for each taken.
-- A full Redis refuses only the first write of a script, and never a removal: so a removal is
-- first.
local token, lease_ms, take = ARGV[1], tonumber(ARGV[2]), ARGV[3] == 'take'
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local lease = string.format('%.0f %s', now + lease_ms, token)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + lease_ms, token)
-- A time later than the end of a lease that begins now was written before the server's clock was
-- set back.
for _, reader in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now + lease_ms, '+inf')) do
  redis.call('ZADD', KEYS[1], now + lease_ms, reader)
end

local share = #ARGV - 3
if take then
  share = math.ceil(share / redis.call('ZCARD', KEYS[1]))
end
local mine, free = {}, {}
for i = 4, #ARGV do
  local until_ms, owner = string.match(redis.call('HGET', KEYS[2], ARGV[i]) or '', '^(%d+) (.+)$')
  if not owner or tonumber(until_ms) <= now then
    free[#free + 1] = ARGV[i]
  elseif owner == token and #mine < share then
    redis.call('HSET', KEYS[2], ARGV[i], lease)
    mine[#mine + 1] = {tonumber(ARGV[i]), 0}
  elseif owner == token then
    redis.call('HDEL', KEYS[2], ARGV[i])
  elseif tonumber(until_ms) > now + lease_ms then
    redis.call('HSET', KEYS[2], ARGV[i], string.format('%.0f %s', now + lease_ms, owner))
  end
end
for _, partition in ipairs(free) do
  if take and #mine < share then
    redis.call('HSET', KEYS[2], partition, lease)
    local committed = redis.call('HGET', KEYS[3], partition)
    mine[#mine + 1] = {tonumber(partition), 1, committed or '0-0'}
  end
end
return mine
