-- Hold new pending messages. Uses state, tail.
--
-- KEYS  pending set, [worker id's lease, under a fenced one], lists and loaded marks, a detail
--       each, a claim for each that has one
-- ARGV  owner ('' when not fenced), lease (ms), number of messages, where the details begin,
--       where the claims begin; for each: id, where its list is, send time, claim ('' for none),
--       text
-- Reply nil when the worker id is another's (nothing is written); else for each message
--       the earlier claim, or nil when it is accepted

local owner, lease_ms = ARGV[1], ARGV[2]
local count, details, claims = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local pending = KEYS[1]

if owner ~= '' then
  local holder = redis.call('GET', KEYS[2])
  if holder and holder ~= owner then return false end
  if not holder then redis.call('SET', KEYS[2], owner, 'PX', lease_ms) end
end

-- The earlier claim, if this one comes second; a claim that is our own was left by a lost answer.
local function claimed_before(key, claim)
  if redis.call('SET', key, claim, 'EX', CLAIM_TTL_S, 'NX') then return false end
  local first = redis.call('GET', key)
  return first ~= claim and first
end

local earlier, entries, listed = {}, {}, {}
for n = 1, count do
  local at = 5 * n + 1
  local id, list, send_time, claim, text = unpack(ARGV, at, at + 4)
  earlier[n] = false
  if claim ~= '' then
    earlier[n] = claimed_before(KEYS[claims], claim)
    claims = claims + 1
  end
  if not earlier[n] then
    local detail = KEYS[details + n - 1]
    -- The log may have been quicker: what is known of this message by now is never overwritten.
    local state = redis.call('SET', detail, text, 'NX') and text or redis.call('GET', detail)
    if holds(state, PENDING) then
      entries[#entries + 1] = send_time
      entries[#entries + 1] = id
      listed[#listed + 1] = { tonumber(list), id }
    end
  end
end

-- The pending marks come before the lists, for what is pending is not trimmed.
for first = 1, #entries, 1000 do
  redis.call('ZADD', pending, unpack(entries, first, math.min(first + 999, #entries)))
end
local touched = {}
for _, entry in ipairs(listed) do
  local list, id = entry[1], entry[2]
  add(KEYS[list], KEYS[list + 1], pending, id)
  touched[list] = true
end
for list in pairs(touched) do keep(KEYS[list], KEYS[list + 1]) end
return earlier
