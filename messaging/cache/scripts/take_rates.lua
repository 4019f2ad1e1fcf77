-- Count one request against each of some rates, or against none of the rates.
--
-- KEYS  the rates
-- ARGV  for each rate: step of a request (µs), burst
-- Reply 0 when the request is counted, or the longest time to wait (µs)
--
-- The generic cell rate algorithm, as in `messaging.domain.rates`. A time further ahead than a
-- whole burst was written before the server's clock was set back, so the time is ignored.

local time = redis.call('TIME')
local now, longest, reached = time[1] * 1e6 + time[2], 0, {}
for n, key in ipairs(KEYS) do
  local step, burst = tonumber(ARGV[2 * n - 1]), tonumber(ARGV[2 * n])
  local at = tonumber(redis.call('GET', key) or 0)
  reached[n] = (at > now + burst * step and now or math.max(at, now)) + step
  longest = math.max(longest, reached[n] - now - burst * step)
end
if longest > 0 then return math.ceil(longest) end
for n, key in ipairs(KEYS) do
  local life = math.ceil((reached[n] - now) / 1000)
  redis.call('SET', key, string.format('%.0f', reached[n]), 'PX', life)
end
return 0
