-- Drop messages that repeat an earlier send. Uses rows, incarnation, state, tail, pending.
--
-- KEYS  pending set, attempts, pending bytes
-- ARGV  for each message: id, conversation ('' for unknown); sender, clientMsgId and idempotency
--       record of the first send, which the message repeats

local pending, attempts, pending_bytes = unpack(KEYS)
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
  redis.call('SET', DEDUPE .. sender .. ':' .. client_msg_id, record, 'EX', IDEMPOTENCY_TTL_S)
end
release(pending, pending_bytes, freed)
for conversation in pairs(touched) do
  age_unless_pending(TAIL .. conversation, LOADED .. conversation, pending)
end
