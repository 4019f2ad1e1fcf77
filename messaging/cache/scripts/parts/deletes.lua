-- Part: read and set a user's floors, and the id down to which the user's set of deletes is
-- complete (`keys.floors`). Uses incarnation, tail.
--
-- The floor of the deletes counts only while the set has the member "={stamped floor}" too, because
-- Redis may evict either key alone. All floors are known then.

local FLOORS_AT_ONCE = 500

-- Return the floor of the deletes, and the user's floor in a conversation, '' where there is none;
-- nil for both when they are not known.
local function deletes_floor(deleted, floors, conversation)
  local floor, cleared = unpack(redis.call('HMGET', floors, '', conversation or ''))
  local known = floor and unstamped(floor)
  if known and redis.call('SISMEMBER', deleted, '=' .. floor) == 1 then
    return known, cleared or ''
  end
  return nil, nil
end

local function set_deletes_floor(deleted, floors, floor)
  local before = redis.call('HGET', floors, '')
  if before then redis.call('SREM', deleted, '=' .. before) end
  redis.call('SADD', deleted, '=' .. stamp() .. floor)
  redis.call('HSET', floors, '', stamp() .. floor)
end

-- Raise the user's floors from one index of ARGV to another: conversation, "{floor_id}:{floor_seq}".
local function raise_floors(floors, from, to)
  for first = from, to, 2 * FLOORS_AT_ONCE do
    local names, raised = {}, {}
    local last = math.min(first + 2 * FLOORS_AT_ONCE - 1, to)
    for n = first, last, 2 do names[#names + 1] = ARGV[n] end
    for n, held in ipairs(redis.call('HMGET', floors, unpack(names))) do
      local floor = ARGV[first + 2 * n - 1]
      if not held or newer(string.match(floor, '%d+'), string.match(held, '%d+')) then
        raised[#raised + 1] = names[n]
        raised[#raised + 1] = floor
      end
    end
    if #raised > 0 then redis.call('HSET', floors, unpack(raised)) end
  end
end
