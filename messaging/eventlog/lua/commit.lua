-- Commit positions, each only while its lease is held; replies with 1 or 0 for each.
-- KEYS: for each partition its lease, its committed position and its stream.
-- ARGV: token, then for each partition the position and what to trim below ('': nothing).
local done = {}
for i = 1, #KEYS / 3 do
  if redis.call('GET', KEYS[3 * i - 2]) == ARGV[1] then
    redis.call('SET', KEYS[3 * i - 1], ARGV[2 * i])
    if ARGV[2 * i + 1] ~= '' then
      redis.call('XTRIM', KEYS[3 * i], 'MINID', '~', ARGV[2 * i + 1])
    end
    done[i] = 1
  else
    done[i] = 0
  end
end
return done
