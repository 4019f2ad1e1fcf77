-- A process has come back to Redis and told it everything, in this run. Uses run.
--
-- KEYS  epoch, run
-- ARGV  the run
-- Reply nil when the server was started again meanwhile

if current_run() ~= ARGV[1] then return false end
redis.call('SET', KEYS[1], redis.call('TIME')[1])
redis.call('SET', KEYS[2], ARGV[1])
return 1
