-- Return the newest listed ids of conversations, and the newest pending ones. Uses incarnation, tail,
-- newest.
--
-- KEYS  their tails
-- Reply for each tail: the largest listed id, the largest pending one among the newest; '0' for none

local ids = {}
for n, list in ipairs(KEYS) do ids[2 * n - 1], ids[2 * n] = newest_of(list) end
return ids
