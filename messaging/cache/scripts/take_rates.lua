-- Count one request against each of some rates, or against none of the rates. Uses rows, rates.
--
-- ARGV  for each rate: key, step of a request (µs), burst
-- Reply 0 when the request is counted, or the longest time to wait (µs)

local now, longest, used = now_us(), 0, {}
for key, step, burst in rows(3, 0) do
  used[key] = used_after(tonumber(redis.call('GET', key) or 0), now, step, burst)
  longest = math.max(longest, used[key] - now - burst * step)
end
if longest > 0 then return math.ceil(longest) end
for key, at in pairs(used) do set_rate(key, at, now) end
return 0
