-- Return the pending ids of a list, newest first.
--
-- KEYS  list, pending set
-- ARGV  limit
-- Reply the ids

local most, ids, first = tonumber(ARGV[1]), {}, 0
while #ids < most do
  local part = redis.call('LRANGE', KEYS[1], first, first + 499)
  if #part == 0 then break end
  for n, score in ipairs(redis.call('ZMSCORE', KEYS[2], unpack(part))) do
    if score and #ids < most then ids[#ids + 1] = part[n] end
  end
  first = first + 500
end
return ids
