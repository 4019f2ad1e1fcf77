-- Note that a process has written to Redis all that Redis lacked. Uses incarnation.
--
-- KEYS  incarnation
-- ARGV  the id of the start of the server; 1 when the process was away: Redis is complete from now
--       on, even if another process has noted a recovery before
-- Reply 1, or nil when the server was started again meanwhile

if current_id() ~= ARGV[1] or redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return false end
if ARGV[2] == '1' or redis.call('HEXISTS', KEYS[1], 'complete_from') == 0 then
  redis.call('HSET', KEYS[1], 'complete_from', redis.call('TIME')[1])
end
return 1
