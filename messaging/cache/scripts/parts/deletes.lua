-- Part: read and raise a user's floors, and read the id down to which the user's set of deletes is
-- complete (`keys.floors`). Uses incarnation, tail.
--
-- Redis may evict either key alone, or start with an old file. So both keys bear the token of a
-- fill, and the hash with the present stamp. While they do, they have all that was told since the
-- token was taken, and the store is read after that.

local FLOORS_AT_ONCE = 500

-- Return the token that both keys bear, the floor of the deletes ('' where they are not filled), and
-- the user's floor in a conversation ('' for none); nil where no token counts.
local function fill_of(deleted, floors, conversation)
  local value, cleared = unpack(redis.call('HMGET', floors, '', conversation or ''))
  local token, floor = string.match(value and unstamped(value) or '', '^(%x+):?(%d*)$')
  if token and redis.call('SISMEMBER', deleted, '=' .. token) == 1 then
    return token, floor, cleared or ''
  end
  return nil, nil, nil
end

-- Return the floor of the deletes, and the user's floor in a conversation, '' where there is none;
-- nil for both when they are not known.
local function deletes_floor(deleted, floors, conversation)
  local _, floor, cleared = fill_of(deleted, floors, conversation)
  if not floor or floor == '' then return nil, nil end
  return floor, cleared
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
