-- Part: a write that may be refused because memory is full.

-- The reply, or nil when Redis has no memory for it. Any other error ends the script.
--
-- Marking a message as stored is what frees memory, so it must go through when there is none.
local function attempt(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    if string.find(reply.err, 'OOM ', 1, true) then return nil end
    error(reply.err)
  end
  return reply
end
