-- Return the newest listed messages of several conversations, without the messages that the reader
-- has deleted. Uses incarnation, tail, deletes, guard, reading.
--
-- KEYS  the reader's deletes, the reader's floors
-- ARGV  the bytes of texts after which each further tail has one message, the reader, then for each
--       conversation its id and a limit
-- Reply the deletes' floor (nil when not known), 1 while Redis recovers, then for each conversation
--       the tail (`parts/reading.lua`), the guard's newest score for the reader (0 for none), the
--       reader's floor ('' for none, nil when not known)

local deleted, floors, left, reader = KEYS[1], KEYS[2], tonumber(ARGV[1]), ARGV[2]

local names = {}
for n = 3, #ARGV, 2 do names[#names + 1] = ARGV[n] end
local known_above = deletes_floor(deleted, floors)
local cleared = known_above and redis.call('HMGET', floors, unpack(names)) or {}
local hidden = filled(deleted, known_above)

local reply = { known_above or false, is_recovering() }
for n, name in ipairs(names) do
  local limit = tonumber(ARGV[2 + 2 * n])
  local tail, bytes =
    read_tail(TAIL .. name, LOADED .. name, hidden, '', limit, DETAIL, math.max(left, 1))
  left = left - bytes
  reply[#reply + 1] = tail
  reply[#reply + 1] = string.sub(name, 1, 1) == 'g' and doubt(GUARD .. name, reader) or 0
  reply[#reply + 1] = known_above and (cleared[n] or '') or false
end
return reply
