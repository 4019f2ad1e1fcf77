-- Settle a run of the server, after a process has written all that Redis lacked. Uses run.
--
-- KEYS  epoch, run
-- ARGV  the run; 1 when the process was away: an epoch begins even if the run was settled before
-- Reply 1, or nil when the server was started again meanwhile

if current_run() ~= ARGV[1] then return false end
if ARGV[2] == '1' or redis.call('GET', KEYS[2]) ~= ARGV[1] then
  redis.call('SET', KEYS[1], redis.call('TIME')[1])
  redis.call('SET', KEYS[2], ARGV[1])
end
return 1
