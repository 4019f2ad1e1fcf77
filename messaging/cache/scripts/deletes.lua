-- Part: a user's set of deleted ids.

-- The id above which the set is complete, or nil: the one member that begins with ">".
local function deletes_floor(deleted)
  local cursor = '0'
  repeat
    local reply = redis.call('SSCAN', deleted, cursor, 'MATCH', '>*', 'COUNT', 1000)
    cursor = reply[1]
    if reply[2][1] then return string.sub(reply[2][1], 2) end
  until cursor == '0'
  return nil
end
