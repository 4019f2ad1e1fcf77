-- Add the idempotency record of a message, unless another message has its key. Uses records.
--
-- KEYS  idempotency record
-- ARGV  the idempotency record of the message
-- Reply the idempotency record of another message, or nil: this message has its own

return recorded_before(KEYS[1], ARGV[1])
