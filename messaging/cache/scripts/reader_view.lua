-- Return the texts of some messages, a reader's deletes among them, and what doubts the reader's
-- right to those of groups. Uses incarnation, deletes, guard.
--
-- KEYS  the reader's deletes, their floor, a detail for each message
-- ARGV  the reader, the ids
-- Reply texts (nil where not cached), 1 for each message that the reader deleted (0 for others),
--       the deletes' floor (nil when not known), 1 while Redis recovers; id, score, id, score … of
--       the cached messages of groups whose guard has a score for the reader

local deleted, reader, hidden = KEYS[1], ARGV[1], {}
for from = 2, #ARGV, 500 do
  local to = math.min(from + 499, #ARGV)
  for _, member in ipairs(redis.call('SMISMEMBER', deleted, unpack(ARGV, from, to))) do
    hidden[#hidden + 1] = member
  end
end
local texts = read_details(KEYS, 3, #KEYS)
local guards, scores = {}, {}
for n, text in ipairs(texts) do
  local group = text and group_of(text)
  if group then
    scores[group] = scores[group] or doubt(GUARD .. group, reader)
    if scores[group] > 0 then
      guards[#guards + 1] = ARGV[n + 1]
      guards[#guards + 1] = scores[group]
    end
  end
end
return { texts, hidden, deletes_floor(deleted, KEYS[2]) or false, is_recovering(), guards }
