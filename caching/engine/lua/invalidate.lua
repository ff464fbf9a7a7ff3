-- Delete the names of a namespace within a lexicographic range, so many at a time. ARGV: namespace,
-- lowest, highest, how many, milliseconds that the floor is kept, the head and the pattern to
-- tell. Loads that
-- began before are refused. Returns how many were deleted, and 1 if there are more.
local ns, low, high, limit, floor_ms, head, pattern = unpack(ARGV)
insist()
local gen = generation(ns)
local names = redis.call('ZRANGEBYLEX', index(ns, gen), low, high, 'LIMIT', 0, limit)
local count = 0
if #names > 0 then
  local keys = {}
  for at, name in ipairs(names) do
    keys[at] = place(ns, gen, name)
  end
  count = redis.call('UNLINK', unpack(keys))
  redis.call('ZREM', index(ns, gen), unpack(names))
end
local more = #names == tonumber(limit)
local floor
if more then
  floor = tonumber(redis.call('GET', root .. '~seq') or 0) + 1
else
  floor = tell('p', head, pattern)  -- after the deletion: a copy read before it must not outlive it
end
redis.call('SET', root .. '~floor:' .. ns, floor, 'PX', floor_ms)
return {count, more and 1 or 0}
