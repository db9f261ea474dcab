-- The run takes back a job that nobody has begun. 0: somebody has, or it has ended.
-- KEYS: open set, lease. ARGV: job.
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
return redis.call('SREM', KEYS[1], ARGV[1])
