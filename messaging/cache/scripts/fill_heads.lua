-- Fill heads of conversations with the numbers of the database. Uses rows, incarnation, rates,
-- tail, heads.
--
-- ARGV  token; for each conversation: id, seq, rev, id of its last message; both parties of a
--       private chat, each with the read and the delivered seq and
--       the time of reading ('' for no party)

local token = ARGV[1]
local begun = begin_of(token)
if not begun then return end
local is_lossless = string.match(token, '%d+$') == evicted_keys()

-- Tell whether a number that rose since the token was taken is in the head.
local function has_risen(head)
  if is_lossless then return true end
  local known = redis.call('HMGET', head, 'stamp', 'born')
  return known[1] == present() and tonumber(known[2]) <= begun
end

for name, seq, rev, id, one, read, got, at, other, other_read, other_got, other_at
  in rows(12, 1) do
  local head = HEAD .. name
  local fields, numbers = { 'last' }, { seq .. ',' .. rev .. ',' .. id }
  if one ~= '' then
    fields[2], numbers[2] = 'party' .. one, read .. ',' .. got .. ',' .. at
  end
  if other ~= '' then
    fields[3], numbers[3] = 'party' .. other, other_read .. ',' .. other_got .. ',' .. other_at
  end
  if has_risen(head) then
    fields[#fields + 1] = 'whole'
    numbers[#numbers + 1] = '1'
  end
  raise_head(head, fields, numbers)
end
