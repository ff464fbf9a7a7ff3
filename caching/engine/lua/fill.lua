-- End a load. ARGV: namespace, name, token, the news' number and the generation it began with,
-- milliseconds to live (0: for ever), payload, tags. Refused (-1) when a write, a deletion, a
-- pattern, a tag or a new generation came between. Else it returns the news' number, 0 where there
-- was nothing that anybody could have a copy of. No payload gives the lease back.
local ns, name, token, began, gen, ttl_ms, payload = unpack(ARGV, 1, 7)
local lease = root .. '~lease:' .. ns .. ':' .. name
if redis.call('GET', lease) ~= token then
  return -1
end
redis.call('DEL', lease)
if payload == '' or generation(ns) ~= gen then
  return -1
end
began = tonumber(began)
if tonumber(redis.call('GET', root .. '~seq') or 0) < began
  or tonumber(redis.call('GET', root .. '~floor:' .. ns) or 0) > began then
  return -1
end
for at = 8, #ARGV do
  if tonumber(redis.call('GET', root .. '~tagfloor:' .. ARGV[at]) or 0) > began then
    return -1
  end
end
local replaces = redis.call('EXISTS', place(ns, gen, name)) == 1
keep(ns, gen, name, ttl_ms, payload)
tagged(8, #ARGV - 7, ns .. '.' .. gen .. ':' .. name)
return replaces and tell('k', name) or 0
