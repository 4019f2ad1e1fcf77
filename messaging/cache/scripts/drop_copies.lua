-- Drop what is a copy of the store. Uses state.
--
-- KEYS  pending set, keys that begin as `keys.COPIES` do
--
-- What does not age is pending, or was recalled while its row may still have the content; or its
-- recall mark has outlived a restart that the blanking has not.

local pending = KEYS[1]

local function is_copy(name)
  if string.sub(name, 1, #DETAIL) ~= DETAIL or redis.call('TTL', name) >= 0 then return true end
  local id = string.sub(name, #DETAIL + 1)
  return not redis.call('ZSCORE', pending, id) and not holds(redis.call('GET', name), RECALLED)
end

for n = 2, #KEYS do
  if redis.call('EXISTS', KEYS[n]) == 1 and is_copy(KEYS[n]) then redis.call('UNLINK', KEYS[n]) end
end
