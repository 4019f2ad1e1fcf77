-- Return the messages that their lists lack. Uses incarnation, tail.
--
-- KEYS  lists and loaded marks
-- ARGV  for each message: id, index of its list
-- Reply the ids

local ids = {}
for n = 1, #ARGV, 2 do
  if not is_listed(KEYS[tonumber(ARGV[n + 1])], ARGV[n]) then ids[#ids + 1] = ARGV[n] end
end
return ids
