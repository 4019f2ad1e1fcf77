-- Part: look at the newest listed messages of a conversation (`keys.tail`).

local anything_pending
local function is_anything_pending()
  if anything_pending == nil then anything_pending = redis.call('EXISTS', PENDING) == 1 end
  return anything_pending
end

-- Return the largest listed id, and the largest pending one among the newest; '0' for none.
local function newest_of(list)
  if not is_anything_pending() then return redis.call('LINDEX', list, 0) or '0', '0' end
  local ids = redis.call('LRANGE', list, 0, NEWEST_LOOKED_AT - 1)
  if #ids == 0 then return '0', '0' end
  for n, score in ipairs(redis.call('ZMSCORE', PENDING, unpack(ids))) do
    if score then return ids[1], ids[n] end
  end
  return ids[1], '0'
end
