-- Let the sets of tags forget values that are gone. ARGV: the lexicographic lower bound of the tags
-- to look at, the cursor within the first one, how many members to look at. Returns the bound to go
-- on from ("": it is done), the cursor, how many members were looked at and how many forgotten.
local low, cursor, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local seen, forgotten = 0, 0
local tags = redis.call('ZRANGEBYLEX', root .. '~tags', low, '+', 'LIMIT', 0, limit)
for _, tag in ipairs(tags) do
  local set = root .. '~tag:' .. tag
  if low ~= '[' .. tag then
    cursor = '0'  -- that tag is gone meanwhile, or this is not the first
  end
  repeat
    local found, gone = redis.call('SSCAN', set, cursor, 'COUNT', limit), {}
    cursor = found[1]
    for _, member in ipairs(found[2]) do
      if redis.call('EXISTS', root .. ':' .. member) == 0 then
        gone[#gone + 1] = member
      end
    end
    if #gone > 0 then
      forgotten = forgotten + redis.call('SREM', set, unpack(gone))
    end
    seen = seen + #found[2] + 1
    if seen >= limit and cursor ~= '0' then
      return {'[' .. tag, cursor, seen, forgotten}
    end
  until cursor == '0'
  if redis.call('EXISTS', set) == 0 then
    redis.call('ZREM', root .. '~tags', tag)
  end
  if seen >= limit then
    return {'(' .. tag, '0', seen, forgotten}
  end
end
return {'', '0', seen, forgotten}
