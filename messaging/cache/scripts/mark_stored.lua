-- Join the store's rows into the cache. Uses incarnation, state, tail,
-- bytes.
--
-- KEYS  pending set, attempts, pending bytes, lists and loaded marks, the details, the recall marks
-- ARGV  number of rows, index of the first detail; then the rows' ids, the indexes of their lists,
--       their seqs, and their tombstones' texts ('' for a row that is not recalled); within a
--       conversation in order of id
--
-- This script makes memory free again, so it must go through when no memory is left. A full Redis
-- refuses only the first write of a script, and only a write that may need memory: hence the
-- pending marks are removed before anything is set.

local count, details = tonumber(ARGV[1]), tonumber(ARGV[2])
local pending, attempts = KEYS[1], KEYS[2]

local function store_row(detail, cached, cancel, seq)
  local text = cached and persisted(cached, seq)
  if text == cached then return end -- the cached state is not pending, or there is none
  if holds(cached, IS_RECALLED) and redis.call('EXISTS', cancel) == 1 then
    redis.call('SET', detail, text) -- no expiry: the store's row still has the content
  else
    redis.call('SET', detail, text, 'EX', DETAIL_TTL_S)
  end
end

-- Record in the mark of a running fill that these listed messages were stored after the token was
-- taken. Drop the mark, and so end the fill, when one of the messages is not listed.
local function note(list, loaded, mark, ids)
  local token, lowest = string.match(mark, '^(%?%x+):?(%d*)$')
  for _, id in ipairs(ids) do
    if not is_listed(list, id) then
      redis.call('DEL', loaded)
      return
    end
    if lowest == '' or newer(lowest, id) then lowest = id end
  end
  set_mark(loaded, token .. ':' .. lowest, 'KEEPTTL')
end

-- Keep the loaded mark true: list the stored messages that the list lacks. A message is not listed
-- when it was stored without the cache, or when its list was evicted.
local function account(list, loaded, ids, seq)
  local mark = read_mark(loaded)
  if not mark then return end
  if is_filling(mark) then return note(list, loaded, mark, ids) end
  local first, listed = place(list, ids[#ids]), {}
  for _, id in ipairs(redis.call('LRANGE', list, first, first + #ids - 1)) do listed[id] = true end
  for _, id in ipairs(ids) do
    if not listed[id] then add(list, loaded, pending, id) end
  end
  local floor, base = bounds(read_mark(loaded))
  if floor and base + redis.call('LLEN', list) < seq then
    redis.call('DEL', loaded) -- a row was stored that the cache was never given
  end
end

local waited = redis.call('ZMSCORE', pending, unpack(ARGV, 3, count + 2))
redis.call('ZREM', pending, unpack(ARGV, 3, count + 2))
if redis.call('EXISTS', attempts) == 1 then
  redis.call('HDEL', attempts, unpack(ARGV, 3, count + 2))
end
local cached = redis.call('MGET', unpack(KEYS, details, details + count - 1))
local touched, seqs, freed = {}, {}, 0
for n = 1, count do
  if waited[n] and cached[n] then freed = freed + #cached[n] end
  local list, tombstone = tonumber(ARGV[count + n + 2]), ARGV[3 * count + n + 2]
  local detail, cancel = KEYS[details + n - 1], KEYS[details + count + n - 1]
  if tombstone ~= '' then
    store_tombstone(detail, cancel, tombstone)
  else
    store_row(detail, cached[n], cancel, ARGV[2 * count + n + 2])
  end
  touched[list] = touched[list] or {}
  table.insert(touched[list], ARGV[n + 2])
  seqs[list] = math.max(seqs[list] or 0, tonumber(ARGV[2 * count + n + 2]))
end
release(pending, KEYS[3], freed)
for list, ids in pairs(touched) do
  account(KEYS[list], KEYS[list + 1], ids, seqs[list])
  age(KEYS[list], KEYS[list + 1], pending)
end
