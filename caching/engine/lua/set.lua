-- Write one value without tags: what `write` does, for the case that matters most. KEYS[1] is the
-- root of all names. ARGV: namespace, name, milliseconds to live (0: for ever), payload. Returns
-- the news' number.
local root, ns, name = KEYS[1], ARGV[1], ARGV[2]
local where = ns .. '.' .. (redis.call('GET', root .. '~gen:' .. ns) or '0')
if ARGV[3] == '0' then
  redis.call('SET', root .. ':' .. where .. ':' .. name, ARGV[4])
else
  redis.call('SET', root .. ':' .. where .. ':' .. name, ARGV[4], 'PX', ARGV[3])
end
redis.call('ZADD', root .. '~index:' .. where, 0, name)
redis.call('DEL', root .. '~lease:' .. ns .. ':' .. name)
local seq = redis.call('INCR', root .. '~seq')
redis.call('PUBLISH', root .. '~news', cmsgpack.pack({seq, 'k', name}))
return seq
