-- Return the pending ids of a list, newest first.
--
-- KEYS  list, pending set
-- ARGV  limit
-- Reply the ids

local list, pending, most = KEYS[1], KEYS[2], tonumber(ARGV[1])
local ids, first = {}, 0
while #ids < most do
  local part = redis.call('LRANGE', list, first, first + 499)
  if #part == 0 then break end
  for n, score in ipairs(redis.call('ZMSCORE', pending, unpack(part))) do
    if score and #ids < most then ids[#ids + 1] = part[n] end
  end
  first = first + 500
end
return ids
