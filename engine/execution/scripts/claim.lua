-- A worker takes a job up. Delivered twice, or wanted no longer: the second one gets 0.
-- KEYS: open set, lease, inbox. ARGV: job, worker, lease in ms, message, seconds to keep.
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return 0 end
if not redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) then return 0 end
redis.call('RPUSH', KEYS[3], ARGV[4])
redis.call('EXPIRE', KEYS[3], ARGV[5])
return 1
