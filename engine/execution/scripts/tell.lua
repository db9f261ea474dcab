-- A worker tells the run something about a job it holds: a question, or with last=1 its end. 0: not wanted any more.
-- KEYS: open set, lease, inbox. ARGV: job, worker, message, last, seconds to keep.
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return 0 end
if ARGV[4] == '1' then
  redis.call('SREM', KEYS[1], ARGV[1])
  redis.call('DEL', KEYS[2])
end
redis.call('RPUSH', KEYS[3], ARGV[3])
redis.call('EXPIRE', KEYS[3], ARGV[5])
return 1
