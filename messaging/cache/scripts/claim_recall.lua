-- Set the recall mark of a message unless it is set. Uses state.
--
-- KEYS  detail, recall mark
-- ARGV  recall time (ms)
-- Reply the recall time that counts

local cached = redis.call('GET', KEYS[1])
if cached and holds(cached, RECALLED) then return recall_time(cached) end
redis.call('SET', KEYS[2], ARGV[1], 'NX')
return redis.call('GET', KEYS[2])
