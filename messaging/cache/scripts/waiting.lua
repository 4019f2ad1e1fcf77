-- Which ids of a list are pending, newest first.
--
-- KEYS  list, pending set
-- ARGV  how many at most
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
