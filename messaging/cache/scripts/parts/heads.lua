-- Part: keep the last numbers of conversations (`keys.head`), and tell which copies of lists count.
-- Uses incarnation, rates, tail.
--
-- A head counts under the stamp alone under which it was made, and only once a fill has made it
-- whole. A fill may have read the database before a number rose. So whoever raises a number does so
-- in a head that is absent as well, where the fill finds the number. If Redis has evicted that head
-- in between, the fill cannot know the number, and makes no head whole that is not older than the
-- fill's token.

-- Return the stamp of the present: another start of Redis has another one, and so has the time
-- after a process came back or was lost, because it may not have told of its changes.
local here
local function present()
  here = here or (incarnation()[1] or '0') .. '/' .. (incarnation()[2] or '') .. '/'
  return here
end

-- Return the time (µs) of a token, nil for a token that is not of the present.
local function time_of(token)
  if not token or string.sub(token, 1, #present()) ~= present() then return nil end
  return tonumber(string.match(token, '^%d+', #present() + 1))
end

-- Return the time (µs) of the token of a fill that may still be under way, else nil.
local function begin_of(token)
  local begun = time_of(token)
  local age = begun and now_us() - begun
  return age and age >= 0 and age < FILL_TTL_S * 1e6 and begun or nil
end

local function evicted_keys()
  return string.match(redis.call('INFO', 'stats'), 'evicted_keys:(%d+)')
end

local now_text -- one time for all heads that a script makes
local function time_text()
  now_text = now_text or string.format('%.0f', now_us())
  return now_text
end

-- Return for each number of a text, such as '3,0,7', the larger one of this text and the held one,
-- which has fewer numbers where an older release wrote it.
local function joined(text, held)
  if not held or held == text then return text end
  local next_held, parts = string.gmatch(held, '%d+'), {}
  for number in string.gmatch(text, '%d+') do
    local other = next_held()
    parts[#parts + 1] = other and newer(other, number) and other or number
  end
  return table.concat(parts, ',')
end

-- Raise the fields of a head to these numbers, a text for each field.
local function raise_head(head, fields, numbers)
  local known = redis.call('HMGET', head, 'stamp', unpack(fields))
  local written = {}
  if known[1] ~= present() then
    if known[1] then redis.call('DEL', head) end
    known, written = {}, { 'stamp', present(), 'born', time_text() }
  end
  for n, field in ipairs(fields) do
    local text = joined(numbers[n], known[n + 1])
    if text ~= known[n + 1] then
      written[#written + 1] = field
      written[#written + 1] = text
    end
  end
  if #written > 0 then redis.call('HSET', head, unpack(written)) end
  redis.call('EXPIRE', head, LISTING_TTL_S)
end
