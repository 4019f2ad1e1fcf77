-- Drop messages that repeat an earlier send. Uses rows, incarnation, state, tail, pending.
--
-- KEYS  pending set, attempts, pending bytes
-- ARGV  for each message: id, conversation ('' for unknown); sender, clientMsgId and idempotency
--       record of the first send, which the message repeats

local pending, attempts, pending_bytes = unpack(KEYS)

-- Tell whether the idempotency record at `key` names a pending attempt of the send of `record`.
-- Nothing else leads to such an attempt, so a delete finds it by its record alone.
local function names_attempt(key, record)
  local id, body_hash = string.match(redis.call('GET', key) or '', '^(%d+)(:.*)$')
  return id and body_hash == string.match(record, ':.*$') and redis.call('ZSCORE', pending, id)
end

local freed, touched = 0, {}
for id, conversation, sender, client_msg_id, record in rows(5, 0) do
  freed = freed + drop_pending(pending, attempts, id)
  if conversation ~= '' then
    touched[conversation] = true
    if redis.call('LREM', TAIL .. conversation, 1, id) == 1 then
      redis.call('DEL', LOADED .. conversation) -- the id was counted, perhaps for a missing one
    end
  end
  redis.call('DEL', DETAIL .. id)
  drop_recall_mark(CANCEL .. id)
  local key = DEDUPE .. sender .. ':' .. client_msg_id
  if not names_attempt(key, record) then redis.call('SET', key, record, 'EX', IDEMPOTENCY_TTL_S) end
end
release(pending, pending_bytes, freed)
for conversation in pairs(touched) do
  age_unless_pending(TAIL .. conversation, LOADED .. conversation, pending)
end
