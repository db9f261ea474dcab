-- A participant arrives at a barrier. Returns -1 for an unknown barrier, 1 when it is open, else 0.
-- KEYS: barrier, arrived set. ARGV: participant, channel to publish on, seconds to keep.
local expected = redis.call('HGET', KEYS[1], 'expected')
if not expected then return -1 end
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
if redis.call('SCARD', KEYS[2]) < tonumber(expected) then return 0 end
redis.call('PUBLISH', ARGV[2], 'open')
return 1
