-- Part: how much is pending, in bytes (`keys.PENDING_BYTES`).

-- Messages of so many bytes are pending no more.
local function release(pending, bytes, freed)
  if redis.call('EXISTS', pending) == 0 then
    redis.call('DEL', bytes) -- so that no error in the sum lasts
  elseif freed > 0 then
    redis.call('DECRBY', bytes, freed)
  end
end
