-- Return a user's conversations, each with its head and its newest listed ids. Uses incarnation, rates, tail, heads, newest.
--
-- KEYS  the user's participants
-- ARGV  the user, a digest that the caller knows ('' for none)
-- Reply the participants' age (ms; nil when a participant or a head is not cached), a token for the
--       fill (nil when nothing may be filled), the digest of the conversations, the conversations
--       (nil when they have the known digest and are fresh) as a JSON list of
--       `[participant, [seq, rev, id], [read seq, delivered seq, time of reading] of the peer or
--       null, [newest listed id, newest pending id]]`
--       (no time where an older release wrote the position)
--
-- The heads' keys cannot be declared, since the participants name them, as in cached_tail.

local mine, user = KEYS[1], ARGV[1]
if is_recovering() then return { false, false } end

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

-- Return a conversation as JSON, nil where its head is not cached.
local function entry_of(name, participant)
  local head, peer = HEAD .. name, 'null'
  local one, other = string.match(name, '^(%d+)_(%d+)$')
  local known
  if one and one ~= other then
    local peer_id = one == user and other or one
    known = redis.call('HMGET', head, 'stamp', 'whole', 'last', 'party' .. peer_id)
    peer = '[' .. (known[4] or '0,0') .. ']'
  else
    known = redis.call('HMGET', head, 'stamp', 'whole', 'last')
  end
  if known[1] ~= present() or not known[2] then return nil end
  local newest, pending = newest_of(TAIL .. name, string.match(known[3], '%d+$'))
  local listed_ids = ',[' .. newest .. ',' .. pending .. ']'
  return '[' .. participant .. ',[' .. known[3] .. '],' .. peer .. listed_ids .. ']'
end

-- Return all conversations as JSON, nil where one of them is not cached.
local function listed()
  local entries = {}
  for n, name in ipairs(names) do
    entries[n] = entry_of(name, participants[n])
    if not entries[n] then return nil end
  end
  return '[' .. table.concat(entries, ',') .. ']'
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

local entries = age and age >= 0 and listed()
if not entries then return { false, begin() } end
local age_ms = math.floor(age / 1000)
local is_old = age_ms >= LISTING_FRESH_MS
local digest = string.sub(redis.sha1hex(entries), 1, 15) -- 60 bits
return { age_ms, is_old and begin(), digest, (is_old or digest ~= ARGV[2]) and entries }
