-- Return the texts of some messages, and a reader's deletes among them. Uses incarnation, deletes.
--
-- KEYS  the reader's deletes, their floor, a detail for each message
-- ARGV  the ids
-- Reply texts (nil where not cached), 1 for each message that the reader deleted (0 for others),
--       the deletes' floor (nil when not known), 1 while Redis recovers

local deleted, hidden = KEYS[1], {}
for from = 1, #ARGV, 500 do
  local to = math.min(from + 499, #ARGV)
  for n, member in ipairs(redis.call('SMISMEMBER', deleted, unpack(ARGV, from, to))) do
    hidden[from + n - 1] = member
  end
end
local texts = read_details(KEYS, 3, #KEYS)
return { texts, hidden, deletes_floor(deleted, KEYS[2]) or false, is_recovering() }
