-- Return what the guard has against a message of a group. Uses incarnation, guard.
--
-- KEYS  guard
-- ARGV  sender, the score that the sender's right was asked after, send time (ms)
-- Reply the guard's newer score and the floor's time (ms) that the message is not later than (0
--       where there is none), or nil

return judge(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
