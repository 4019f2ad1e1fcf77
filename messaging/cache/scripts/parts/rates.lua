-- Part: count requests by the generic cell rate algorithm, as in `messaging.domain.rates`.

local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1e6 + time[2]
end

-- Return the time (µs) up to which a rate is used after one more request. A time further ahead than
-- a whole burst was written before the server's clock was set back, so the time is ignored.
local function used_after(used, now, step, burst)
  return (used > now + burst * step and now or math.max(used, now)) + step
end

local function set_rate(key, used, now)
  redis.call('SET', key, string.format('%.0f', used), 'PX', math.ceil((used - now) / 1000))
end
