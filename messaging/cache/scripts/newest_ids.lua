-- Return the newest listed ids of conversations.
--
-- KEYS  their tails
-- Reply an id for each tail, nil where none is listed

local ids = {}
for n, list in ipairs(KEYS) do ids[n] = redis.call('LINDEX', list, 0) end
return ids
