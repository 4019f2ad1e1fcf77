-- Some messages, and which of them a reader has deleted. Uses deletes, epoch.
--
-- KEYS  the reader's deletes, their floor, the epoch, a detail each
-- ARGV  the ids
-- Reply texts (nil where not cached), 1 for each that the reader deleted, the deletes' floor (nil
--       when not known), 1 while Redis recovers

local deleted, texts, hidden = KEYS[1], {}, {}
for from = 1, #ARGV, 500 do
  local to = math.min(from + 499, #ARGV)
  for n, text in ipairs(redis.call('MGET', unpack(KEYS, from + 3, to + 3))) do
    texts[from + n - 1] = text
  end
  for n, member in ipairs(redis.call('SMISMEMBER', deleted, unpack(ARGV, from, to))) do
    hidden[from + n - 1] = member
  end
end
return { texts, hidden, deletes_floor(deleted, KEYS[2]) or false, is_recovering(KEYS[3]) }
