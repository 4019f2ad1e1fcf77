-- Count one request against each of some rates, or against none of the rates. Uses rows.
--
-- ARGV  for each rate: key, step of a request (µs), burst
-- Reply 0 when the request is counted, or the longest time to wait (µs)
--
-- The generic cell rate algorithm, as in `messaging.domain.rates`. A time further ahead than a
-- whole burst was written before the server's clock was set back, so the time is ignored.

local time = redis.call('TIME')
local now, longest, reached = time[1] * 1e6 + time[2], 0, {}
for key, step, burst in rows(3, 0) do
  local at, whole = tonumber(redis.call('GET', key) or 0), burst * step
  reached[key] = (at > now + whole and now or math.max(at, now)) + step
  longest = math.max(longest, reached[key] - now - whole)
end
if longest > 0 then return math.ceil(longest) end
for key, at in pairs(reached) do
  redis.call('SET', key, string.format('%.0f', at), 'PX', math.ceil((at - now) / 1000))
end
return 0
