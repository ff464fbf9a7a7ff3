-- Note an event that several processes tell of within some seconds, once.
-- KEYS: mark (string), events (list); ARGV: field, kind, events kept, seconds
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[4]) then return 0 end
local time = redis.call('TIME')
redis.call('LPUSH', KEYS[2], cjson.encode({
  at = time[1] + time[2] / 1000000, backend = ARGV[1], kind = ARGV[2], reason = '', detail = '',
  seconds = 0, times = 0,
}))
return redis.call('LTRIM', KEYS[2], 0, ARGV[3] - 1)
