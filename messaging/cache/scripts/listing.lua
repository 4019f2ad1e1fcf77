-- Return a user's conversations, each with its head, its newest listed id and the number of unread
-- messages. Uses incarnation, rates, tail, heads, newest.
--
-- KEYS  the user's participants, the user's numbers of unread
-- ARGV  the user
-- Reply the participants' age (ms; nil when a participant or a head is not cached), a token for the
--       fill (nil when nothing may be filled), and for each conversation: id, participant, seq, rev
--       and id of the head, the peer's read and delivered seq, the newest listed id and the newest
--       pending one ('' for none), the number of unread (nil where not cached)
--
-- The heads' keys cannot be declared, since the participants name them, as in cached_tail.

local mine, unread, user = KEYS[1], KEYS[2], ARGV[1]
if is_recovering() then return { false, false, {} } end

local held, token, read, names, participants = redis.call('HGETALL', mine), nil, nil, {}, {}
for n = 1, #held, 2 do
  if held[n] == FILLING then
    token = held[n + 1]
  elseif held[n] == FILLED then
    read = time_of(held[n + 1])
  else
    names[#names + 1], participants[#participants + 1] = held[n], held[n + 1]
  end
end
local age = read and now_us() - read

local function head_of(name)
  local head, one, other = HEAD .. name, string.match(name, '^(%d+)_(%d+)$')
  if not one then return redis.call('HMGET', head, 'stamp', 'whole', 'seq', 'rev', 'id') end
  local peer = one == user and other or one
  return redis.call('HMGET', head, 'stamp', 'whole', 'seq', 'rev', 'id', 'r' .. peer, 'd' .. peer)
end

-- Return all conversations, nil where one of them is not cached.
local function listed()
  local reply, at = {}, 0
  for n, name in ipairs(names) do
    local head = head_of(name)
    if head[1] ~= present() or not head[2] then return nil end
    reply[at + 1], reply[at + 2] = name, participants[n]
    reply[at + 3], reply[at + 4], reply[at + 5] = head[3], head[4], head[5]
    reply[at + 6], reply[at + 7] = head[6] or '0', head[7] or '0'
    reply[at + 8], reply[at + 9] = newest_of(TAIL .. name)
    at = at + 10
  end
  for first = 1, #names, 1000 do
    local last = math.min(first + 999, #names)
    for n, memo in ipairs(redis.call('HMGET', unread, unpack(names, first, last))) do
      reply[10 * (first + n - 1)] = memo
    end
  end
  return reply
end

-- Return the token of the fill that is under way, or begin a fill.
local function begin()
  if begin_of(token) then return token end
  if not read then redis.call('DEL', mine) end
  token = present() .. time_text() .. '/' .. evicted_keys()
  redis.call('HSET', mine, FILLING, token)
  if not read then redis.call('EXPIRE', mine, FILL_TTL_S) end
  return token
end

local reply = age and age >= 0 and listed()
if not reply then return { false, begin(), {} } end
local age_ms = math.floor(age / 1000)
return { age_ms, age_ms >= LISTING_FRESH_MS and begin(), reply }
