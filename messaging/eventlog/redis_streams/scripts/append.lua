-- Append records to their streams, in order, and reply with the ids of the entries.
-- KEYS: the streams. ARGV: for each stream its greatest length (0: any), then for each record the
-- number of its stream, key, value and headers.
local ids = {}
for i = #KEYS + 1, #ARGV, 4 do
  local number = tonumber(ARGV[i])
  local longest = tonumber(ARGV[number])
  local command = {'XADD', KEYS[number]}
  if longest > 0 then
    command = {'XADD', KEYS[number], 'MAXLEN', '~', longest}
  end
  for _, part in ipairs({'*', 'k', ARGV[i + 1], 'v', ARGV[i + 2], 'h', ARGV[i + 3]}) do
    command[#command + 1] = part
  end
  ids[#ids + 1] = redis.call(unpack(command))
end
return ids
