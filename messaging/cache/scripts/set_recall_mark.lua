-- Set the recall mark of a message unless it is set. Uses incarnation, state.
--
-- KEYS  detail, recall mark
-- ARGV  recall time (ms)
-- Reply the recall time that counts

local detail, cancel, recalled_at = KEYS[1], KEYS[2], ARGV[1]
local cached = redis.call('GET', detail)
if cached and holds(cached, IS_RECALLED) then return (recall_of(cached)) end
if redis.call('SET', cancel, recalled_at, 'NX') then
  redis.call('SADD', CANCELS, marked_id(cancel))
end
return redis.call('GET', cancel)
