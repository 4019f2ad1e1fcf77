-- Drop a recall mark, unless another recall with the same mark went through. Uses incarnation, state.
--
-- KEYS  detail, recall mark
-- ARGV  recall time (ms)

local cached = redis.call('GET', KEYS[1])
if redis.call('GET', KEYS[2]) == ARGV[1] and not (cached and holds(cached, IS_RECALLED)) then
  drop_recall_mark(KEYS[2])
end
