-- Part: tell whether Redis may still lack pending messages (`keys.EPOCH`).

-- Tell whether Redis was empty, started again, or out of reach of a process a moment ago. Messages
-- may then be in the log alone, or in the memory of a process that has not written them yet.
local function is_recovering(epoch)
  local since = tonumber(redis.call('GET', epoch) or UNSETTLED)
  return not since or redis.call('TIME')[1] - since < RECOVERS_S
end
