-- Part: keep a conversation's list of ids and its loaded mark (`keys.tail`, `keys.loaded`). Uses
-- incarnation.
--
-- Invariant: while the mark is "{floor}:{base}", the list has every message of the conversation
-- above floor, and base counts all others. Any step that might break the invariant deletes the
-- mark, which costs the next reader one fill.

local MOST_TRIMMED = 100 -- ids at a time: a long list must not stall Redis

-- Compare ids as digits, because Lua's numbers lose digits past 2^53.
local function newer(id, other)
  if #id ~= #other then return #id > #other end
  return id > other
end

-- Return the loaded mark without its stamp. A mark of an earlier start of Redis does not count, and
-- is dropped: it may have no expiry.
local function read_mark(loaded)
  local value = redis.call('GET', loaded)
  local mark = unstamped(value)
  if value and not mark then redis.call('DEL', loaded) end
  return mark
end

local function set_mark(loaded, mark, ...)
  redis.call('SET', loaded, stamp() .. mark, ...)
end

local function is_filling(mark)
  return string.sub(mark, 1, 1) == '?'
end

local function bounds(mark)
  if not mark then return nil, nil end
  local floor, base = string.match(mark, '^(%d+):(%d+)$')
  return floor, tonumber(base)
end

-- Return the index of the first listed id that is not newer than this id; the list's length if
-- there is none. Search from the head in doubling strides, then by halves: most ids belong near the
-- head.
local function place(list, id)
  local length = redis.call('LLEN', list)
  local low, stride = 0, 1
  while low + stride <= length and newer(redis.call('LINDEX', list, low + stride - 1), id) do
    low = low + stride
    stride = stride * 2
  end
  local high = math.min(low + stride - 1, length)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if newer(redis.call('LINDEX', list, middle), id) then low = middle + 1 else high = middle end
  end
  return low
end

local function is_listed(list, id)
  return redis.call('LINDEX', list, place(list, id)) == id
end

-- Insert an id in its place. Return the list's length, 0 when the id was listed already.
local function insert(list, id)
  local head = redis.call('LINDEX', list, 0)
  if not head or newer(id, head) then return redis.call('LPUSH', list, id) end
  local there = redis.call('LINDEX', list, place(list, id))
  if there == id then return 0 end
  if there then return redis.call('LINSERT', list, 'BEFORE', there, id) end
  return redis.call('RPUSH', list, id)
end

-- Drop the oldest ids over the cap and raise the floor over them. A pending id stays, and so do
-- newer ids, because a reader can find a pending message nowhere else.
local function trim(list, loaded, pending, length)
  local excess = math.min(length - TAIL_CAP, MOST_TRIMMED)
  local dropped, oldest = 0, nil
  while dropped < excess do
    local last = redis.call('LINDEX', list, -1)
    if redis.call('ZSCORE', pending, last) then break end
    redis.call('RPOP', list)
    dropped, oldest = dropped + 1, last
  end
  if dropped == 0 then return end
  local floor, base = bounds(read_mark(loaded))
  if floor then
    set_mark(loaded, string.format('%s:%d', oldest, base + dropped), 'KEEPTTL')
  else
    redis.call('DEL', loaded)
  end
end

-- List a message of the conversation, and keep the loaded mark true.
local function add(list, loaded, pending, id)
  local mark = read_mark(loaded)
  if mark and not is_filling(mark) then
    local floor = bounds(mark)
    local listed = redis.call('EXISTS', list) == 1
    if mark == EMPTY_TAIL and not listed then
      set_mark(loaded, '0:0', 'KEEPTTL')
    elseif not listed or not floor or not newer(id, floor) then
      redis.call('DEL', loaded) -- the list was evicted, or base may count this message already
    end
  end
  trim(list, loaded, pending, insert(list, id))
end

-- Remove the expiry of a list with a pending message, and of its loaded mark.
local function keep(list, loaded)
  redis.call('PERSIST', list)
  local mark = read_mark(loaded)
  if mark and not is_filling(mark) then redis.call('PERSIST', loaded) end
end

-- Let the list age from now on, unless its newest message is pending.
local function age(list, loaded, pending)
  local head = redis.call('LINDEX', list, 0)
  if head and redis.call('ZSCORE', pending, head) then return end
  redis.call('EXPIRE', list, TAIL_TTL_S)
  local mark = read_mark(loaded)
  if mark and not is_filling(mark) then redis.call('EXPIRE', loaded, TAIL_TTL_S) end
end

-- Let the list age from now on, unless any of its messages is pending. The list may have no expiry
-- because of a pending message that has left the list.
local function age_unless_pending(list, loaded, pending)
  local first, part = 0, redis.call('LRANGE', list, 0, 499)
  while #part > 0 do
    for _, score in ipairs(redis.call('ZMSCORE', pending, unpack(part))) do
      if score then return end
    end
    first = first + 500
    part = redis.call('LRANGE', list, first, first + 499)
  end
  age(list, loaded, pending)
end
