-- Return the newest listed messages of a conversation below an id, without the messages that the
-- reader has deleted. Uses incarnation, tail, deletes, guard, reading.
--
-- KEYS  list, loaded mark, the reader's deletes, the reader's floors, the guard of a group's
--       conversation
-- ARGV  before ('' for the newest), limit, the prefix of the details' keys ('' for ids alone), the
--       bytes of texts after which the reply ends, the reader, the conversation
-- Reply the tail (`parts/reading.lua`), the deletes' floor (nil when not known), 1 while Redis
--       recovers, the guard's newest score for the reader (0 for none), the reader's floor in the
--       conversation ('' for none, nil when not known)

local known_above, cleared = deletes_floor(KEYS[3], KEYS[4], ARGV[6])
local tail = read_tail(
  KEYS[1], KEYS[2], filled(KEYS[3], known_above), ARGV[1], tonumber(ARGV[2]), ARGV[3],
  tonumber(ARGV[4])
)
return {
  tail,
  known_above or false,
  is_recovering(),
  KEYS[5] and doubt(KEYS[5], ARGV[5]) or 0,
  cleared or false,
}
