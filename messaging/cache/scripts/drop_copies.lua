-- Drop the keys whose content is a copy of the store. Uses state.
--
-- KEYS  pending set, keys with the prefixes of `keys.COPIES`
--
-- A detail that does not age is pending, or is recalled while the store's row may still have the
-- content. Any other detail without expiry is a copy, too: a restart has lost the blanking of the
-- detail and has kept the recall mark.

local pending = KEYS[1]

local function is_copy(name)
  if string.sub(name, 1, #DETAIL) ~= DETAIL or redis.call('TTL', name) >= 0 then return true end
  local id = string.sub(name, #DETAIL + 1)
  return not redis.call('ZSCORE', pending, id) and not holds(redis.call('GET', name), RECALLED)
end

for n = 2, #KEYS do
  if redis.call('EXISTS', KEYS[n]) == 1 and is_copy(KEYS[n]) then redis.call('UNLINK', KEYS[n]) end
end
