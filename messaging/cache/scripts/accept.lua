-- Hold new pending messages. Uses rows, rates, records, incarnation, state, tail, guard.
--
-- KEYS  pending set, its bytes, the worker id's lease where the lease is fenced
-- ARGV  owner ('' when not fenced), lease (ms), step of a message in its sender's rate (µs; 0: no
--       rate), burst, bytes that may be pending; for each message: id, conversation, send time
--       (ms), sender, clientMsgId, idempotency record (both '' for none), text, the score that the
--       sender's right was asked after ('' for a message that the guard does not judge)
-- Reply nil when another owner leases the worker id (nothing is written); else for each message the
--       earlier idempotency record, the time to wait (µs) of a sender who is too fast, -1 when too
--       much is pending, the guard's newer score and the floor's time (ms) that the message is not
--       later than (0 where there is none), or nil: the message is accepted

local pending, pending_bytes, lease = unpack(KEYS)
local owner, lease_ms = ARGV[1], ARGV[2]
local step, burst, most = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local bytes = tonumber(redis.call('GET', pending_bytes) or 0)
local bytes_before = bytes

if owner ~= '' then
  local holder = redis.call('GET', lease)
  if holder and holder ~= owner then return false end
  if not holder then redis.call('SET', lease, owner, 'PX', lease_ms) end
end

-- Return the earlier idempotency record of a message for which there is no room, else -1.
local function refuse(key, record)
  local first = key and redis.call('GET', key)
  return first and first ~= record and first or -1
end

-- Return the guard's verdict on a message. A repeat gets the earlier idempotency record all the
-- same, and a message that has its own record was accepted before the guard was against it.
local function guarded(conversation, sender, asked_after, send_time, key, record)
  local verdict = judge(GUARD .. conversation, sender, asked_after, send_time)
  local first = verdict and key and redis.call('GET', key)
  if first == record then return false end
  return first or verdict
end

-- List pending ids of one conversation: do for all ids what `add` and `keep` do for one id.
local function list_all(list, loaded, ids)
  local head = redis.call('LINDEX', list, 0)
  local known, lowest, run, others = head, ids[1], {}, {}
  for _, id in ipairs(ids) do
    if not head or newer(id, head) then
      run[#run + 1], head = id, id
    else
      others[#others + 1] = id
      if newer(lowest, id) then lowest = id end
    end
  end

  local mark = read_mark(loaded)
  if mark and not is_filling(mark) then
    local floor = bounds(mark)
    if mark == EMPTY_TAIL and not known then
      set_mark(loaded, '0:0')
    elseif not known or not floor or not newer(lowest, floor) then
      redis.call('DEL', loaded) -- see `add`
    else
      redis.call('PERSIST', loaded)
    end
  end

  local length = #run > 0 and redis.call('LPUSH', list, unpack(run)) or 0
  for _, id in ipairs(others) do length = math.max(length, insert(list, id)) end
  if known then redis.call('PERSIST', list) end
  if length > TAIL_CAP then trim(list, loaded, pending, length) end
end

local now, used = step > 0 and now_us(), {}
local function wait_of(sender)
  local key = RATE .. sender
  local at = used_after(used[key] or tonumber(redis.call('GET', key) or 0), now, step, burst)
  local wait = at - now - burst * step
  if wait > 0 then return math.ceil(wait) end
  used[key] = at
  return false
end

local verdicts, entries, conversations, listed = {}, {}, {}, {}
for id, conversation, send_time, sender, client_msg_id, record, text, asked_after in rows(8, 5) do
  local key = record ~= '' and DEDUPE .. sender .. ':' .. client_msg_id
  local verdict = asked_after ~= ''
      and guarded(conversation, sender, asked_after, send_time, key, record)
    or bytes + #text > most and refuse(key, record)
    or step > 0 and wait_of(sender)
    or key and recorded_before(key, record)
  verdicts[#verdicts + 1] = verdict
  if not verdict then
    local detail = DETAIL .. id
    -- The log may have been quicker, so a state of this message that is cached already is never
    -- overwritten.
    local known = not redis.call('SET', detail, text, 'NX') and redis.call('GET', detail)
    if not known then
      bytes = bytes + #text
    elseif holds(known, IS_PENDING) and not redis.call('ZSCORE', pending, id) then
      bytes = bytes + #known -- the message was dead-lettered, and its detail ages
      redis.call('PERSIST', detail)
    end
    if not known or holds(known, IS_PENDING) then
      entries[#entries + 1] = send_time
      entries[#entries + 1] = id
      local ids = listed[conversation]
      if ids then
        ids[#ids + 1] = id
      else
        listed[conversation] = { id }
        conversations[#conversations + 1] = conversation
      end
    end
  end
end

-- The pending marks are set before the ids are listed, because a list keeps pending ids when it is
-- trimmed.
for first = 1, #entries, 1000 do
  redis.call('ZADD', pending, unpack(entries, first, math.min(first + 999, #entries)))
end
for _, conversation in ipairs(conversations) do
  list_all(TAIL .. conversation, LOADED .. conversation, listed[conversation])
end
if bytes > bytes_before then redis.call('INCRBY', pending_bytes, bytes - bytes_before) end
for key, at in pairs(used) do set_rate(key, at, now) end
return verdicts
