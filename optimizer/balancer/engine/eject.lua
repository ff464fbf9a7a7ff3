-- Share an ejection over all processes: one at a time, no more at once than allowed, each longer.
-- KEYS: ejections (hash), events (list)
-- ARGV: field, prefix of the group's fields, most at once, first seconds, longest seconds, jitter
--       (as a factor), reason, detail, events kept
-- Returns {milliseconds left, number of the ejection}; {-1, 0} where too many are ejected already.
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local known = redis.call('HGET', KEYS[1], ARGV[1])
local times = 1
if known then
  known = cjson.decode(known)
  if known['until'] > now then
    return {math.floor((known['until'] - now) * 1000), known['times']}
  end
  if known['until'] + tonumber(ARGV[5]) > now then times = known['times'] + 1 end
end
local ejected = 0
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local other = cjson.decode(all[at + 1])
  if other['until'] + 86400 < now then
    redis.call('HDEL', KEYS[1], all[at])
  elseif other['until'] > now and string.sub(all[at], 1, #ARGV[2]) == ARGV[2] then
    ejected = ejected + 1
  end
end
if ejected >= tonumber(ARGV[3]) then return {-1, 0} end
local seconds = math.min(ARGV[4] * 2 ^ math.min(times - 1, 30), tonumber(ARGV[5])) * ARGV[6]
local entry = {['until'] = now + seconds, times = times, reason = ARGV[7], detail = ARGV[8]}
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(entry))
redis.call('LPUSH', KEYS[2], cjson.encode({
  at = now, backend = ARGV[1], kind = 'ejected', reason = ARGV[7], detail = ARGV[8],
  seconds = seconds, times = times,
}))
redis.call('LTRIM', KEYS[2], 0, ARGV[9] - 1)
return {math.floor(seconds * 1000), times}
