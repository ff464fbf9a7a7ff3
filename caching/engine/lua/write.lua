-- Write values. ARGV: mode (set, add, swap); then for each value: namespace, name, milliseconds to live (0: for ever), payload, what must be there (swap),
-- the number of tags, the tags. Returns the news' number (0: none), then 1 or 0 for each value.
local mode = ARGV[1]
local results, names, at = {0}, {}, 2
while at <= #ARGV do
  local ns, name, ttl_ms, payload, expected = unpack(ARGV, at, at + 4)
  local tags = tonumber(ARGV[at + 5])
  local gen = generation(ns)
  local may = true
  if mode ~= 'set' then
    local held = redis.call('GET', place(ns, gen, name))
    if mode == 'add' then
      may = not held or expired(held)
    else
      may = held == expected
    end
  end
  if may then
    keep(ns, gen, name, ttl_ms, payload)
    redis.call('DEL', root .. '~lease:' .. ns .. ':' .. name)
    tagged(at + 6, tags, ns .. '.' .. gen .. ':' .. name)
    names[#names + 1] = name
  end
  results[#results + 1] = may and 1 or 0
  at = at + 6 + tags
end
if #names > 0 then
  results[1] = tell('k', unpack(names))
end
return results
