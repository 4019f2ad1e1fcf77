-- Part: hide the copies that an earlier start of the Redis server has left (`keys.INCARNATION`).
--
-- A server that was started again may lack its last writes, so a copy of a row from before may be
-- out of date. Such copies are hidden at once, however many there are, and not dropped:
--
-- - A detail that ages is hidden when it was written before the start was noticed. The detail's
--   time to live gives the time of the write. Half an hour later, no such detail is left.
-- - A loaded mark and the floor of a user's deletes bear a stamp of the start under which they were
--   written. They do not count under another start.
--
-- A detail that does not age is no copy while it is pending or recalled: the store may lack that
-- state. Any other detail without an expiry is a copy: the restart has lost the change of the
-- detail.

local known -- when the present start was noticed (ms), and from when on Redis is complete (s)

local function incarnation()
  known = known or redis.call('HMGET', INCARNATION, 'noticed_ms', 'complete_from')
  return known
end

-- Return the id of the present start of the server.
local function current_id()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
end

-- Return the stamp of the present start.
local function stamp()
  return (incarnation()[1] or '0') .. '/'
end

-- Return the value without its stamp; nil when another start has stamped the value.
local function unstamped(value)
  local present = stamp()
  if value and string.sub(value, 1, #present) == present then
    return string.sub(value, #present + 1)
  end
  return nil
end

-- Tell whether Redis was empty, started again, or out of reach of a process a moment ago. Messages
-- may then be in the log alone, or in the memory of a process that has not written them yet.
local function is_recovering()
  local since = tonumber(incarnation()[2] or nil)
  return not since or redis.call('TIME')[1] - since < RECOVERS_S
end

local function is_hidden(detail, text, now_ms, noticed_ms)
  local left_ms = redis.call('PTTL', detail)
  if left_ms >= 0 then return now_ms + left_ms - DETAIL_TTL_S * 1000 < noticed_ms end
  local id = string.sub(detail, #DETAIL + 1)
  return not redis.call('ZSCORE', PENDING, id)
    and not string.find(text, '"status":"RECALLED"', 1, true)
end

-- Return the texts of these details from one index to another, false where there is none or the
-- copy is hidden.
local function read_details(names, from, to)
  local time, noticed_ms = redis.call('TIME'), tonumber(incarnation()[1] or 0)
  local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  local texts, may_be_hidden = {}, now_ms - noticed_ms < DETAIL_TTL_S * 1000
  for first = from, to, 500 do
    for _, text in ipairs(redis.call('MGET', unpack(names, first, math.min(first + 499, to)))) do
      local detail = names[from + #texts]
      local hidden = text and may_be_hidden and is_hidden(detail, text, now_ms, noticed_ms)
      texts[#texts + 1] = not hidden and text
    end
  end
  return texts
end
