-- Part: read and raise doubts about users' rights in a group (`keys.GUARD`).

local guard_now_ms

local function guard_time()
  if not guard_now_ms then
    local time = redis.call('TIME')
    guard_now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return guard_now_ms
end

-- Return the conversation of a message from its text.
local function conversation_of(text)
  return string.match(text, '^{"messageId":"%d+","conversationId":"([^"]+)"')
end

-- Return the newest score that doubts this user's rights, 0 where none does or the score is past,
-- and the floor's time, 0 where there is no floor.
local function doubt(guard, user)
  local scores = redis.call('ZMSCORE', guard, user, '*', '^')
  local newest = math.max(tonumber(scores[1] or 0), tonumber(scores[2] or 0))
  if newest > 0 and newest <= guard_time() then newest = 0 end
  return newest, tonumber(scores[3] or 0)
end

-- Return what the guard has against a message of this user: a score that is newer than the score
-- that the user's right was asked after, and the floor's time where the message is not later; false
-- when the guard has nothing against the message.
local function judge(guard, user, asked_after, send_time)
  local score, floor_ms = doubt(guard, user)
  if score <= tonumber(asked_after) then score = 0 end
  if floor_ms < tonumber(send_time) then floor_ms = 0 end
  return (score > 0 or floor_ms > 0) and { score, floor_ms }
end
