-- Keeps the later of two positions, written so that they sort as text.
-- KEYS: the position. ARGV: a position, milliseconds to keep it.
local known = redis.call('GET', KEYS[1])
if known and known >= ARGV[1] then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return known
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
