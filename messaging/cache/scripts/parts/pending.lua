-- Part: end pending marks, and count the bytes of pending messages (`keys.PENDING_BYTES`).

-- Drop a pending mark, and return the bytes that the message took, 0 when it was not pending.
local function drop_pending(pending, attempts, id)
  local was_pending = redis.call('ZREM', pending, id) == 1
  redis.call('HDEL', attempts, id)
  return was_pending and redis.call('STRLEN', DETAIL .. id) or 0
end

-- Subtract the bytes of messages that are not pending any more.
local function release(pending, bytes, freed)
  if redis.call('EXISTS', pending) == 0 then
    redis.call('DEL', bytes) -- an error in the sum ends here
  elseif freed > 0 then
    redis.call('DECRBY', bytes, freed)
  end
end
