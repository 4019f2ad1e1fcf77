-- Part: look at the newest listed messages of conversations (`keys.tail`), while any message of any
-- conversation is pending. Else nothing is listed above the heads. Uses tail.

local oldest_pending
local function oldest_of_all()
  if oldest_pending == nil then
    oldest_pending = redis.call('ZRANGE', PENDING, 0, 0)[1] or false
  end
  return oldest_pending
end

-- Return the largest listed id, and the largest pending one among the newest; '0' for none.
-- `last`: the largest stored id, below which nothing that is younger can be pending. Where nothing
-- is above it, and nothing pending, nothing is told: a list is the same then, whatever is pending
-- in other conversations.
local function newest_of(list, last)
  local oldest = oldest_of_all()
  if not oldest then return '0', '0' end
  local head = redis.call('LINDEX', list, 0)
  if not head then return '0', '0' end
  if last and newer(head, last) then return head, head end
  if last and newer(oldest, last) then return '0', '0' end
  local ids = redis.call('LRANGE', list, 0, NEWEST_LOOKED_AT - 1)
  for n, score in ipairs(redis.call('ZMSCORE', PENDING, unpack(ids))) do
    if score then return head, ids[n] end
  end
  return last and '0' or head, '0'
end
