-- Be seen in the group and renew one's leases. With 'take', also give back what is more than a fair
-- share and take what is free of it.
-- KEYS: the readers, then for each partition its lease and its committed position.
-- ARGV: token, lease (ms), 'take' or 'keep', then the partitions (from 0), the dearest first.
-- Replies with {partition, 0} for each kept and {partition, 1, committed position} for each taken.
local token, lease_ms, take = ARGV[1], tonumber(ARGV[2]), ARGV[3] == 'take'
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + lease_ms, token)
redis.call('PEXPIRE', KEYS[1], lease_ms)

local partitions = #ARGV - 3
local share = partitions
if take then
  share = math.ceil(partitions / redis.call('ZCARD', KEYS[1]))
end
local mine = {}
for i = 4, #ARGV do
  local lease = KEYS[2 + 2 * ARGV[i]]
  if redis.call('GET', lease) == token then
    if #mine < share then
      redis.call('PEXPIRE', lease, lease_ms)
      mine[#mine + 1] = {tonumber(ARGV[i]), 0}
    else
      redis.call('DEL', lease)
    end
  end
end
for i = 4, #ARGV do
  if not take or #mine >= share then
    break
  end
  local lease = KEYS[2 + 2 * ARGV[i]]
  if redis.call('SET', lease, token, 'NX', 'PX', lease_ms) then
    local committed = redis.call('GET', KEYS[3 + 2 * ARGV[i]])
    mine[#mine + 1] = {tonumber(ARGV[i]), 1, committed or '0-0'}
  end
end
return mine
