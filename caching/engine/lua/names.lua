-- List names of a namespace. ARGV: namespace, lowest, highest, how many. With how many 0, count.
local ns, low, high, limit = unpack(ARGV)
local names = index(ns, generation(ns))
if limit == '0' then
  return redis.call('ZLEXCOUNT', names, low, high)
end
return redis.call('ZRANGEBYLEX', names, low, high, 'LIMIT', 0, limit)
