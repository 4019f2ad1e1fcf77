-- Part: count the bytes of pending messages (`keys.PENDING_BYTES`).

-- Subtract the bytes of messages that are not pending any more.
local function release(pending, bytes, freed)
  if redis.call('EXISTS', pending) == 0 then
    redis.call('DEL', bytes) -- an error in the sum ends here
  elseif freed > 0 then
    redis.call('DECRBY', bytes, freed)
  end
end
