-- Part: add idempotency records.

-- Add the idempotency record, or return the earlier record. A record of this same message is
-- no earlier record: a call whose answer was lost has left the record.
local function recorded_before(key, record)
  if redis.call('SET', key, record, 'EX', IDEMPOTENCY_TTL_S, 'NX') then return false end
  local first = redis.call('GET', key)
  return first ~= record and first
end
