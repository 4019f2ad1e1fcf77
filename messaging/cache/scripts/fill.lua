-- Load a conversation's tail with rows of the store. Uses rows, incarnation, state, tail.
--
-- KEYS  list, loaded mark, pending set
-- ARGV  token, floor, base; for each row, oldest first: id, text

local list, loaded, pending = unpack(KEYS)
local token, floor, base = '?' .. ARGV[1], ARGV[2], ARGV[3]

local mark = read_mark(loaded)
if not mark or string.sub(mark, 1, #token) ~= token then return end
redis.call('DEL', loaded)

-- base counts the rows at or below floor at the moment of the store's read. A listed message at or
-- below floor is surely among those rows only if its pending mark was dropped before the token was
-- taken. A message stored since then is missing from the rows here, and the list lacks the message
-- too if the list was evicted since.
local lowest = string.match(mark, ':(%d+)$')
if lowest and not (newer(lowest, floor) and is_listed(list, lowest)) then return end
local covered = place(list, floor)
for _, id in ipairs(redis.call('LRANGE', list, covered, -1)) do
  if redis.call('ZSCORE', pending, id) then return end
end
if covered == 0 then redis.call('DEL', list) else redis.call('LTRIM', list, 0, covered - 1) end

for id, text in rows(2, 3) do
  insert(list, id)
  cache_row(DETAIL .. id, CANCEL .. id, text)
end

local length = redis.call('LLEN', list)
if length > 0 then
  set_mark(loaded, floor .. ':' .. base)
  trim(list, loaded, pending, length)
elseif base == '0' then
  set_mark(loaded, EMPTY_TAIL)
end
age(list, loaded, pending)
