-- Leave the group: give back the leases that are still one's own.
-- KEYS: the readers, the leases ("until token" by partition). ARGV: token.
redis.call('ZREM', KEYS[1], ARGV[1])
local leases = redis.call('HGETALL', KEYS[2])
for i = 1, #leases, 2 do
  if string.match(leases[i + 1], '^%d+ (.+)$') == ARGV[1] then
    redis.call('HDEL', KEYS[2], leases[i])
  end
end
return redis.status_reply('OK')
