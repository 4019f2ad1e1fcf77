-- Leave the group: give back the leases that are still one's own.
-- KEYS: the readers, then the leases. ARGV: token.
redis.call('ZREM', KEYS[1], ARGV[1])
for i = 2, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[1] then
    redis.call('DEL', KEYS[i])
  end
end
return redis.status_reply('OK')
