-- Part: which start of the Redis server this is.

local function current_run()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
end
