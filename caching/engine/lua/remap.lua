-- Agree on a mapping of prefixes, and begin new generations of what it touches. ARGV: the mapping
-- that is expected to be known ("" for none), the new one, namespaces. Returns 1, or 0 where another
-- process was faster.
local known = redis.call('GET', root .. '~mapping') or ''
if known ~= ARGV[1] then
  return 0
end
insist()
redis.call('SET', root .. '~mapping', ARGV[2])
if #ARGV > 2 then
  bump(unpack(ARGV, 3))
end
return 1
