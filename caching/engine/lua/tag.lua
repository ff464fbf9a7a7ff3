-- Delete what has a tag, so many at a time. ARGV: tag, how many, milliseconds that the floor is
-- kept. Returns how many, 1 if there are more, the news' number, the names.
local tag, limit, floor_ms = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local members = redis.call('SPOP', root .. '~tag:' .. tag, limit)
local names, count = {}, 0
for at, member in ipairs(members) do
  local namespace, name = string.match(member, '^([^:]*):(.*)$')
  count = count + redis.call('UNLINK', root .. ':' .. member)
  redis.call('ZREM', root .. '~index:' .. namespace, name)
  names[at] = name
end
local more = #members == limit
if not more then
  redis.call('ZREM', root .. '~tags', tag)
end
local seq = tell('t', tag, unpack(names))
redis.call('SET', root .. '~tagfloor:' .. tag, seq, 'PX', floor_ms)
return {count, more and 1 or 0, seq, names}
