-- Sweep an index, so many names at a time. ARGV: "garbage" (delete what it lists) or "live" (forget
-- names whose values are gone), namespace and generation, where to begin, how many. Returns the
-- name to go on from ("": it is done), how many were looked at and how many deleted or forgotten.
local kind, namespace, low, limit = unpack(ARGV)
local names = redis.call('ZRANGEBYLEX', root .. '~index:' .. namespace, low, '+', 'LIMIT', 0, limit)
local gone, count = {}, 0
for _, name in ipairs(names) do
  local key = root .. ':' .. namespace .. ':' .. name
  if kind == 'garbage' then
    redis.call('UNLINK', key)
    gone[#gone + 1] = name
  elseif redis.call('EXISTS', key) == 0 then
    gone[#gone + 1] = name
  end
end
if #gone > 0 then
  redis.call('ZREM', root .. '~index:' .. namespace, unpack(gone))
end
if #names < tonumber(limit) then
  if kind == 'garbage' then
    redis.call('SREM', root .. '~garbage', namespace)
  end
  return {'', #names, #gone}
end
return {names[#names], #names, #gone}
