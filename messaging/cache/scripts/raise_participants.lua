-- Raise cached participants, and the positions that their peers are shown. Uses rows, incarnation,
-- rates, tail, heads.
--
-- ARGV  for each participant: user, conversation, participant, read seq, delivered seq, time of
--       reading
--
-- A fill that is under way may have read the database before the change. So its token is dropped.

-- Tell whether a participant is older than another one. A delivered seq that rises raises no rev.
local function precedes(participant, other)
  local rev, got = string.match(participant, '^%[(%d+),(%d+)')
  local other_rev, other_got = string.match(other, '^%[(%d+),(%d+)')
  if not other_rev then return false end -- an unreadable one
  if rev == other_rev then return newer(other_got, got) end
  return newer(other_rev, rev)
end

for user, conversation, participant, read, got, at in rows(6, 0) do
  local mine = MINE .. user
  redis.call('HDEL', mine, FILLING)
  local held = redis.call('HMGET', mine, FILLED, conversation)
  if time_of(held[1]) and not (held[2] and precedes(participant, held[2])) then
    redis.call('HSET', mine, conversation, participant)
  end
  if string.sub(conversation, 1, 1) ~= 'g' then
    raise_head(HEAD .. conversation, { 'party' .. user }, { read .. ',' .. got .. ',' .. at })
  end
end
