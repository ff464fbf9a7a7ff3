-- Begin a load. ARGV: namespace, name, token, milliseconds of the lease, the header of the stale
-- value that the caller has seen ("" for none). Returns 0, value, generation when there is another
-- one by now; 1, news' number, generation with the lease; 2, milliseconds when another loads. A
-- token that begins with y yields to whoever comes next.
local ns, name, token, lease_ms, seen = unpack(ARGV)
local gen = generation(ns)
local held = redis.call('GET', place(ns, gen, name))
if held and (seen == '' or string.sub(held, 1, #seen) ~= seen) and not expired(held) then
  return {0, held, gen}
end
local lease = root .. '~lease:' .. ns .. ':' .. name
local holder = redis.call('GET', lease)
if not holder or string.sub(holder, 1, 1) == 'y' then
  redis.call('SET', lease, token, 'PX', lease_ms)
  return {1, tonumber(redis.call('GET', root .. '~seq') or 0), gen}
end
return {2, redis.call('PTTL', lease)}
