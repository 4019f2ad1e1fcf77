-- Join the store's rows into the cache. Uses state, tail.
--
-- KEYS  pending set, attempts, lists and loaded marks, a detail and a recall mark each
-- ARGV  number of rows, where the details begin; for each row: id, where its list is, seq,
--       the tombstone's text ('' for a row that is not recalled)
--
-- This is what makes memory free again, so it must go through when there is none left. Redis
-- refuses only the first write of a script for that, and only one that may need memory: hence the
-- pending mark goes before anything is set.

local count, details = tonumber(ARGV[1]), tonumber(ARGV[2])
local pending, attempts = KEYS[1], KEYS[2]
local tried = redis.call('EXISTS', attempts) == 1

local function store_row(detail, cancel, seq)
  local cached = redis.call('GET', detail)
  if not cached or not holds(cached, PENDING) then return end
  local text = persisted(cached, seq)
  if holds(cached, RECALLED) and redis.call('EXISTS', cancel) == 1 then
    redis.call('SET', detail, text) -- it must outlive the store's row, which still has the content
  else
    redis.call('SET', detail, text, 'EX', DETAIL_TTL_S)
  end
end

-- Note for the fill under way that this listed message was stored after the token was taken.
local function note(loaded, mark, id)
  local token, lowest = string.match(mark, '^(%?%x+):?(%d*)$')
  if lowest == '' or newer(lowest, id) then
    redis.call('SET', loaded, token .. ':' .. id, 'KEEPTTL')
  end
end

-- Keep the loaded mark true. A message that came past the cache is not listed, and neither is one
-- whose list was evicted.
local function account(list, loaded, id)
  local mark = redis.call('GET', loaded)
  if not mark then return end
  if not is_filling(mark) then
    add(list, loaded, pending, id)
  elseif is_listed(list, id) then
    note(loaded, mark, id)
  else
    redis.call('DEL', loaded)
  end
end

local touched = {}
for n = 1, count do
  local id, list, seq, tombstone = unpack(ARGV, 4 * n - 1, 4 * n + 2)
  local detail, cancel = KEYS[details + 2 * n - 2], KEYS[details + 2 * n - 1]
  redis.call('ZREM', pending, id)
  if tried then redis.call('HDEL', attempts, id) end
  if tombstone ~= '' then
    store_tombstone(detail, cancel, tombstone)
  else
    store_row(detail, cancel, seq)
  end
  list = tonumber(list)
  account(KEYS[list], KEYS[list + 1], id)
  touched[list] = true
end
for list in pairs(touched) do age(KEYS[list], KEYS[list + 1], pending) end
