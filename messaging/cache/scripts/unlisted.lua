-- Return the messages that their lists lack. Uses rows, incarnation, tail.
--
-- ARGV  for each message: id, conversation
-- Reply the ids

local ids = {}
for id, conversation in rows(2, 0) do
  if not is_listed(TAIL .. conversation, id) then ids[#ids + 1] = id end
end
return ids
