-- Begin the fill of a conversation's tail, unless the tail is loaded or being filled. Uses
-- incarnation, tail.
--
-- KEYS  loaded mark
-- ARGV  token
-- Reply 1 when the fill has begun

if read_mark(KEYS[1]) then return 0 end
set_mark(KEYS[1], '?' .. ARGV[1], 'EX', FILL_TTL_S)
return 1
