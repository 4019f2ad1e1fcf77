-- Commit the position of each partition whose lease is still one's own, and reply with 1 for each
-- partition that was committed, 0 for others.
-- KEYS: the leases ("until token" by partition), the committed positions, then for each partition
-- its stream. ARGV: token, then for each partition its number, the position, and the position to
-- trim below ('': no trimming).
-- A full Redis refuses only the first write of a script, and never a removal: so a removal is
-- first.
redis.call('HDEL', KEYS[1], '')
local done = {}
for i = 1, #KEYS - 2 do
  local partition, position, trim = ARGV[3 * i - 1], ARGV[3 * i], ARGV[3 * i + 1]
  if string.match(redis.call('HGET', KEYS[1], partition) or '', '^%d+ (.+)$') == ARGV[1] then
    redis.call('HSET', KEYS[2], partition, position)
    if trim ~= '' then
      redis.call('XTRIM', KEYS[2 + i], 'MINID', '~', trim)
    end
    done[i] = 1
  else
    done[i] = 0
  end
end
return done
