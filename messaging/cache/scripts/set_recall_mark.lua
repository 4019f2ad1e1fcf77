-- Set the recall mark of a message unless it is set. Uses incarnation, state.
--
-- KEYS  detail, recall mark
-- ARGV  the recall as a value of the mark
-- Reply the recall that counts, in the same form

local detail, cancel, recall = KEYS[1], KEYS[2], ARGV[1]
local cached = redis.call('GET', detail)
if cached and holds(cached, IS_RECALLED) then
  local time, by = recall_of(cached)
  return by == '' and time or time .. ':' .. by
end
if redis.call('SET', cancel, recall, 'NX') then
  redis.call('SADD', CANCELS, marked_id(cancel))
end
return redis.call('GET', cancel)
