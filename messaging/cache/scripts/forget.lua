-- Drop those of these details that age.
--
-- KEYS  the details

for _, detail in ipairs(KEYS) do
  if redis.call('TTL', detail) >= 0 then redis.call('DEL', detail) end
end
