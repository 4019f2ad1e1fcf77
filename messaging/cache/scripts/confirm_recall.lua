-- Blank the cached content of a recalled message. Uses incarnation, state.
--
-- KEYS  detail, recall mark, pending bytes
-- ARGV  the tombstone's text

local cached = redis.call('GET', KEYS[1])
local recalled = cached and holds(cached, IS_RECALLED) and not holds(cached, IS_PENDING)
if recalled and redis.call('TTL', KEYS[1]) >= 0 then
  drop_recall_mark(KEYS[2]) -- a detail that ages is in the store: nothing is left to do
  return
end
local text = tombstone_over(cached, ARGV[1])
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('SET', KEYS[1], text)
elseif cached then
  redis.call('SET', KEYS[1], text, 'KEEPTTL')
else
  redis.call('SET', KEYS[1], text, 'EX', DETAIL_TTL_S)
end
if cached and holds(cached, IS_PENDING) then redis.call('INCRBY', KEYS[3], #text - #cached) end
