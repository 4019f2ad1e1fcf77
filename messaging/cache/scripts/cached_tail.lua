-- Return the newest listed messages of a conversation below an id, without the messages that the
-- reader has deleted. Uses incarnation, tail, deletes, guard.
--
-- KEYS  list, loaded mark, the reader's deletes, the reader's floors, the guard of a group's
--       conversation
-- ARGV  before ('' for the newest), limit, the prefix of the details' keys ('' for ids alone), the
--       bytes of texts after which the reply ends, the reader, the conversation
-- Reply ids without the deleted ones, their texts (nil where not cached), the lowest id read
--       (nil when it was the list's last), floor and total (nil when not loaded), the deletes'
--       floor (nil when not known), 1 while Redis recovers, the guard's newest score for the reader
--       (0 for none), the reader's floor in the conversation ('' for none, nil when not known)
--
-- The details' keys cannot be declared, since the list gives their ids, and a second trip would
-- read another state. Redis needs declared keys only to find the right node of a cluster.

local list, loaded, deleted = KEYS[1], KEYS[2], KEYS[3]
local before, limit, prefix, most = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])

local length = redis.call('LLEN', list)
local mark = read_mark(loaded)
local floor, base = bounds(mark)
if mark == EMPTY_TAIL and length == 0 then
  floor, base = '0', 0
elseif floor and length == 0 then
  redis.call('DEL', loaded) -- the list was evicted, and the mark was not
  floor, mark = nil, nil
end

local first = 0
if before ~= '' then
  first = place(list, before)
  if redis.call('LINDEX', list, first) == before then first = first + 1 end
end

local known_above, cleared = deletes_floor(deleted, KEYS[4], ARGV[6])
local has_deletes = redis.call('SCARD', deleted) > (known_above and 1 or 0)
local ids, names = {}, {}
local read, lowest, stop = first, nil, math.min(length, first + MOST_IDS_READ)
local wanted = math.min(limit, 500)
while #ids < limit and read < stop do
  local part = redis.call('LRANGE', list, read, math.min(read + wanted, stop) - 1)
  local hidden = has_deletes and redis.call('SMISMEMBER', deleted, unpack(part)) or {}
  for n, id in ipairs(part) do
    if #ids == limit then break end
    if hidden[n] ~= 1 then
      ids[#ids + 1] = id
      names[#names + 1] = prefix .. id
    end
    read, lowest = read + 1, id
  end
  wanted = math.min(2 * wanted, 500) -- very many deletes may follow one another
end

local texts, bytes, goes_on = {}, 0, read < length
for from = 1, prefix ~= '' and #names or 0, 50 do
  for _, text in ipairs(read_details(names, from, math.min(from + 49, #names))) do
    if bytes < most then
      texts[#texts + 1] = text
      bytes = bytes + (text and #text or 0)
    end
  end
  if bytes >= most then break end
end
if prefix ~= '' and #texts < #ids then
  lowest, goes_on = ids[#texts], true
  ids = { unpack(ids, 1, #texts) }
end

-- The expiry is renewed once a minute at most, because each renewal is written to the append-only
-- file.
local left = redis.call('TTL', length > 0 and list or loaded)
if left >= 0 and left < TAIL_TTL_S - TAIL_REFRESH_S then
  redis.call('EXPIRE', list, TAIL_TTL_S)
  if mark and not is_filling(mark) then redis.call('EXPIRE', loaded, TAIL_TTL_S) end
end
return {
  ids,
  texts,
  goes_on and lowest or false,
  floor or false,
  floor and base + length or false,
  known_above or false,
  is_recovering(),
  KEYS[5] and doubt(KEYS[5], ARGV[5]) or 0,
  cleared or false,
}
