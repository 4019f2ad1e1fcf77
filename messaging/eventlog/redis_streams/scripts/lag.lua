-- Count the entries of a stream that the group has not committed, a given number at most.
-- KEYS: the committed positions, the stream.
-- ARGV: the partition, the most entries to count.
-- Reply: the count, the length of the stream, and the id of the first of these entries or ''.
local committed = redis.call('HGET', KEYS[1], ARGV[1]) or '0-0'
local waiting = redis.call('XRANGE', KEYS[2], '(' .. committed, '+', 'COUNT', ARGV[2])
return {#waiting, redis.call('XLEN', KEYS[2]), waiting[1] and waiting[1][1] or ''}
