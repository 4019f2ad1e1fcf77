-- Part: read and raise doubts about users' rights in a group (`keys.GUARD`). Uses incarnation.
--
-- A restarted Redis may have lost scores. While it recovers, every right is in doubt that was asked
-- for before: one score stands for all that may be lost, and every new score is larger.

local guard_now_ms

local function guard_time()
  if not guard_now_ms then
    local time = redis.call('TIME')
    guard_now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return guard_now_ms
end

local lost

-- Return the score of all that may be lost, 0 when Redis has not been restarted just now. The score
-- is later than any that was given before the loss, and stays the same or grows while Redis
-- recovers. A loss that no heartbeat has noticed yet is noticed here.
local function lost_score()
  if lost then return lost end
  lost = 0
  if not is_recovering() then return lost end
  local noticed, complete_from = unpack(incarnation())
  if not noticed then
    noticed = guard_time()
    redis.call('HSET', INCARNATION, 'noticed_ms', string.format('%.0f', noticed))
  end
  local since = math.max(tonumber(noticed), 1000 * tonumber(complete_from or 0))
  lost = since + 1000 + DISTRUSTED_MS -- complete_from is of whole seconds
  return lost
end

-- Return the conversation of a message from its text.
local function conversation_of(text)
  return string.match(text, '^{"messageId":"%d+","conversationId":"([^"]+)"')
end

-- Return the newest score that doubts this user's rights, or stands for one that may be lost; 0 where
-- none does or the score is past. And return the floor's time, 0 where there is no floor.
local function doubt(guard, user)
  local scores = redis.call('ZMSCORE', guard, user, '*', '^')
  local newest = math.max(tonumber(scores[1] or 0), tonumber(scores[2] or 0))
  if newest > 0 and newest <= guard_time() then newest = 0 end
  return math.max(newest, lost_score()), tonumber(scores[3] or 0)
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
