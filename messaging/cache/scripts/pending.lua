-- Return pending ids in the order of the set: by send time, then by id as text.
--
-- KEYS  pending set
-- ARGV  before (ms), limit, send time and id of the entry to continue after ('' for none)
-- Reply id, send time, id, send time …

local before_ms, limit, after_time, after_id = unpack(ARGV)
local low, before = after_time ~= '' and after_time or '-inf', '(' .. before_ms
limit, after_time = tonumber(limit), tonumber(after_time)
local found, offset = {}, 0
while #found < 2 * limit do
  local part =
    redis.call('ZRANGEBYSCORE', KEYS[1], low, before, 'WITHSCORES', 'LIMIT', offset, limit)
  for n = 1, #part, 2 do
    local seen = tonumber(part[n + 1]) == after_time and part[n] <= after_id
    if not seen and #found < 2 * limit then
      found[#found + 1] = part[n]
      found[#found + 1] = part[n + 1]
    end
  end
  if #part < 2 * limit then break end
  offset = offset + limit
end
return found
