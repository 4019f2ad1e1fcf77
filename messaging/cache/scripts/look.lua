-- Return the texts of some messages, and a reader's deletes among them. Uses deletes, epoch.
--
-- KEYS  the reader's deletes, their floor, the epoch, a detail for each message
-- ARGV  the ids
-- Reply texts (nil where not cached), 1 for each message that the reader deleted (0 for others),
--       the deletes' floor (nil when not known), 1 while Redis recovers

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
