-- Write something, which Redis refuses when it is full or a replica. Uses run.
--
-- KEYS  epoch, run
-- Reply the id of this run of the server, 1 if it is settled

local run = current_run()
if redis.call('GET', KEYS[2]) == run then
  redis.call('SET', KEYS[1], redis.call('TIME')[1], 'NX')
  return { run, 1 }
end
redis.call('SET', KEYS[1], UNSETTLED)
return { run, 0 }
