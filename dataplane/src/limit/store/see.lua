-- KEYS[1]: what is seen. ARGV[1]: for how long that is remembered, in milliseconds. Answers how often it has been seen, this time included.
local times = redis.call('HINCRBY', KEYS[1], 'n', 1)
if times == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return times
