-- Part: since when Redis knows all that is pending (`keys.EPOCH`).

-- It was empty, or started again, or out of reach for somebody, a moment ago: messages may be
-- nowhere but in the log, or in the memory of a process that has not told them yet.
local function is_recovering(epoch)
  local since = tonumber(redis.call('GET', epoch) or UNSETTLED)
  return not since or redis.call('TIME')[1] - since < RECOVERS_S
end
