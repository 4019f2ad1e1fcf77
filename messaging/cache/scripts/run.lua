-- Part: return the id of the present run of the Redis server.

local function current_run()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
end
