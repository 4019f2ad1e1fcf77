-- The newest listed messages of a conversation below an id. Uses tail, deletes.
--
-- KEYS  list, loaded mark, the reader's deletes
-- ARGV  before ('' for the newest), limit, the prefix of the details' keys
-- Reply ids, texts (nil where not cached), 1 for each that the reader deleted, whether the list
--       goes on, floor and total (nil when not loaded), the deletes' floor (nil when not known)
--
-- The details' keys cannot be declared, since the list names them, and a second trip would see
-- another state. Redis asks for declared keys only to find the right node of a cluster.

local list, loaded, deleted = KEYS[1], KEYS[2], KEYS[3]
local before, limit, prefix = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local length = redis.call('LLEN', list)
local mark = redis.call('GET', loaded)
local floor, base = bounds(mark)
if mark == EMPTY_TAIL and length == 0 then
  floor, base = '0', 0
elseif floor and length == 0 then
  redis.call('DEL', loaded) -- the list was evicted, the mark was not
  floor, mark = nil, nil
end

local first = 0
if before ~= '' then
  first = place(list, before)
  if redis.call('LINDEX', list, first) == before then first = first + 1 end
end
local ids = redis.call('LRANGE', list, first, first + limit - 1)

local texts, hidden = {}, {}
for from = 1, #ids, 500 do
  local part = { unpack(ids, from, math.min(from + 499, #ids)) }
  local names = {}
  for n, id in ipairs(part) do names[n] = prefix .. id end
  for n, text in ipairs(redis.call('MGET', unpack(names))) do texts[from + n - 1] = text end
  for n, member in ipairs(redis.call('SMISMEMBER', deleted, unpack(part))) do
    hidden[from + n - 1] = member
  end
end

if redis.call('TTL', list) >= 0 then redis.call('EXPIRE', list, TAIL_TTL_S) end
if mark and not is_filling(mark) and redis.call('TTL', loaded) >= 0 then
  redis.call('EXPIRE', loaded, TAIL_TTL_S)
end
return {
  ids,
  texts,
  hidden,
  first + #ids < length and 1 or 0,
  floor or false,
  floor and base + length or false,
  deletes_floor(deleted) or false,
}
