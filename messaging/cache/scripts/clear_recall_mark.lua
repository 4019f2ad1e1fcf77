-- Drop a recall mark, unless another recall with the same mark went through. Uses incarnation,
-- state.
--
-- KEYS  detail, recall mark
-- ARGV  the recall as a value of the mark

local detail, cancel, recall = KEYS[1], KEYS[2], ARGV[1]
local cached = redis.call('GET', detail)
if redis.call('GET', cancel) == recall and not (cached and holds(cached, IS_RECALLED)) then
  drop_recall_mark(cancel)
end
