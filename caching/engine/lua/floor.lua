-- Refuse the loads of a namespace that have begun. ARGV: namespace, milliseconds that the
-- floor is kept, the head and the pattern to tell.
insist()
local seq = tell('p', ARGV[3], ARGV[4])
redis.call('SET', root .. '~floor:' .. ARGV[1], seq, 'PX', ARGV[2])
return seq
