-- Set the recall mark of a message unless it is set. Uses incarnation, state.
--
-- KEYS  detail, recall mark
-- ARGV  recall time (ms)
-- Reply the recall time that counts

local cached = redis.call('GET', KEYS[1])
if cached and holds(cached, IS_RECALLED) then return recall_time(cached) end
if redis.call('SET', KEYS[2], ARGV[1], 'NX') then
  redis.call('SADD', CANCELS, string.sub(KEYS[2], #CANCEL + 1))
end
return redis.call('GET', KEYS[2])
