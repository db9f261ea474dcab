-- All writes of a body at once, unless somebody committed since their values were computed (then 0).
-- KEYS: channels hash, version. ARGV: version seen, seconds to keep, number of deletions, fields to delete, field, value, ...
local version = redis.call('GET', KEYS[2]) or '0'
if version ~= ARGV[1] then return 0 end
local deletions = tonumber(ARGV[3])
for i = 4, 3 + deletions do redis.call('HDEL', KEYS[1], ARGV[i]) end
for i = 4 + deletions, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('INCR', KEYS[2])
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return 1
