-- How a barrier stands: -1 unknown, 1 open, 0 not yet. Looking at it keeps it.
-- KEYS: barrier, arrived set. ARGV: seconds to keep.
local expected = redis.call('HGET', KEYS[1], 'expected')
if not expected then return -1 end
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[1])
if redis.call('SCARD', KEYS[2]) >= tonumber(expected) then return 1 end
return 0
