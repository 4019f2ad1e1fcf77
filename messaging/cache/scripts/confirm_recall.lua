-- Blank the cached content of a recalled message. Uses incarnation, state.
--
-- KEYS  detail, recall mark, pending bytes
-- ARGV  the tombstone's text

local detail, cancel, pending_bytes, tombstone = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local cached = redis.call('GET', detail)
local recalled = cached and holds(cached, IS_RECALLED) and not holds(cached, IS_PENDING)
if recalled and redis.call('TTL', detail) >= 0 then
  drop_recall_mark(cancel) -- a detail that ages is in the store: nothing is left to do
  return
end
local text = tombstone_over(cached, tombstone)
if redis.call('EXISTS', cancel) == 1 then
  redis.call('SET', detail, text)
elseif cached then
  redis.call('SET', detail, text, 'KEEPTTL')
else
  redis.call('SET', detail, text, 'EX', DETAIL_TTL_S)
end
if cached and holds(cached, IS_PENDING) then redis.call('INCRBY', pending_bytes, #text - #cached) end
