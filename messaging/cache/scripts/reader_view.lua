-- Return the texts of some messages, a reader's deletes among them, the reader's floors, and what
-- doubts the reader's right to messages of groups. Uses incarnation, tail, deletes, guard.
--
-- KEYS  the reader's deletes, the reader's floors, a detail for each message
-- ARGV  the reader, the ids
-- Reply texts (nil where not cached), 1 for each message that the reader deleted (0 for others),
--       the deletes' floor (nil when not known), 1 while Redis recovers; id, score, id, score … of
--       the cached messages of groups whose guard has a score for the reader; id, floor, id, floor …
--       of the cached messages in whose conversations the reader has a floor

local deleted, reader, hidden = KEYS[1], ARGV[1], {}
for from = 2, #ARGV, 500 do
  local to = math.min(from + 499, #ARGV)
  for _, member in ipairs(redis.call('SMISMEMBER', deleted, unpack(ARGV, from, to))) do
    hidden[#hidden + 1] = member
  end
end
local texts = read_details(KEYS, 3, #KEYS)
local guards, floors, scores, cleared = {}, {}, {}, {}

local function add(pairs, n, value)
  pairs[#pairs + 1] = ARGV[n + 1]
  pairs[#pairs + 1] = value
end

for n, text in ipairs(texts) do
  local conversation = text and conversation_of(text)
  if conversation and not cleared[conversation] then
    local is_group = string.sub(conversation, 1, 1) == 'g'
    scores[conversation] = is_group and doubt(GUARD .. conversation, reader) or 0
    cleared[conversation] = redis.call('HGET', KEYS[2], conversation) or ''
  end
  if conversation and scores[conversation] > 0 then add(guards, n, scores[conversation]) end
  if conversation and cleared[conversation] ~= '' then add(floors, n, cleared[conversation]) end
end
local known_above = deletes_floor(deleted, KEYS[2])
return { texts, hidden, known_above or false, is_recovering(), guards, floors }
