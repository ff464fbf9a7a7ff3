-- Delete values and void their loads. ARGV: for each, namespace and name. Returns the news' number
-- and how many values there were.
local names, count = {}, 0
for at = 1, #ARGV, 2 do
  local ns, name = ARGV[at], ARGV[at + 1]
  local gen = generation(ns)
  local key = place(ns, gen, name)
  local held = redis.call('GET', key)
  if held then
    redis.call('UNLINK', key)
    redis.call('ZREM', index(ns, gen), name)
    if not expired(held) then
      count = count + 1
    end
  end
  redis.call('DEL', root .. '~lease:' .. ns .. ':' .. name)
  names[#names + 1] = name
end
return {tell('k', unpack(names)), count}
