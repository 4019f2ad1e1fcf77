-- Join the store's rows into the cache. Uses rows, incarnation, rates, state, tail, pending, heads.
--
-- KEYS  pending set, attempts, pending bytes
-- ARGV  for each row: id, conversation, seq, rev, its tombstone's text ('' for a row that is not
--       recalled); within a conversation in order of id
--
-- This script makes memory free again, so it must go through when no memory is left. A full Redis
-- refuses only the first write of a script, and only a write that may need memory: hence the
-- pending marks are removed before anything is set.

local pending, attempts, pending_bytes = unpack(KEYS)

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
local function record_in_fill(list, loaded, mark, ids)
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
local function add_stored(list, loaded, ids, seq)
  local mark = read_mark(loaded)
  if not mark then return end
  if is_filling(mark) then return record_in_fill(list, loaded, mark, ids) end
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

-- Raise the head of a conversation. With its first message a private conversation comes into the
-- lists of its parties.
local function raise_numbers(conversation, seq, rev, id, begins)
  raise_head(HEAD .. conversation, { 'last' }, { string.format('%.0f,%.0f,%s', seq, rev, id) })
  local one, other = string.match(conversation, '^(%d+)_(%d+)$')
  if begins and one then redis.call('DEL', MINE .. one, MINE .. other) end
end

local ids, details = {}, {}
for id in rows(5, 0) do
  ids[#ids + 1] = id
  details[#details + 1] = DETAIL .. id
end
local waited = redis.call('ZMSCORE', pending, unpack(ids))
redis.call('ZREM', pending, unpack(ids))
if redis.call('EXISTS', attempts) == 1 then redis.call('HDEL', attempts, unpack(ids)) end
local cached = redis.call('MGET', unpack(details))
local n, touched, seqs, revs, begins, freed = 0, {}, {}, {}, {}, 0
for id, conversation, seq, rev, tombstone in rows(5, 0) do
  n = n + 1
  if waited[n] and cached[n] then freed = freed + #cached[n] end
  if tombstone ~= '' then
    store_tombstone(details[n], CANCEL .. id, tombstone)
  else
    store_row(details[n], cached[n], CANCEL .. id, seq)
  end
  touched[conversation] = touched[conversation] or {}
  table.insert(touched[conversation], id)
  seqs[conversation] = math.max(seqs[conversation] or 0, tonumber(seq))
  revs[conversation] = math.max(revs[conversation] or 0, tonumber(rev))
  if seq == '1' then begins[conversation] = true end
end
release(pending, pending_bytes, freed)
for conversation, stored in pairs(touched) do
  local list, loaded = TAIL .. conversation, LOADED .. conversation
  add_stored(list, loaded, stored, seqs[conversation])
  age(list, loaded, pending)
  local seq, rev, last_id = seqs[conversation], revs[conversation], stored[#stored]
  raise_numbers(conversation, seq, rev, last_id, begins[conversation])
end
