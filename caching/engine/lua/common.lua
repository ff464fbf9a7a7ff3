-- What every script begins with. KEYS[1] is the root of all names:
--   root:<namespace>.<generation>:<name>  a value         root~gen:<namespace>   its generation
--   root~index:<namespace>.<generation>   its names       root~lease:<ns>:<name> who loads it
--   root~floor:<namespace>, root~tagfloor:<tag>           the last invalidation of many keys
--   root~tag:<tag>                        what has a tag  root~garbage           old generations
--   root~tags                             all such tags   root~spaces            known namespaces
--   root~seq                              numbers of news root~news              their channel
--   root~mapping                          which namespace has which prefix
--   root~sweeping, root~swept             who sweeps, and where the last one stopped
local root = KEYS[1]

local function generation(ns)
  return redis.call('GET', root .. '~gen:' .. ns) or '0'
end

local function place(ns, gen, name)
  return root .. ':' .. ns .. '.' .. gen .. ':' .. name
end

local function index(ns, gen)
  return root .. '~index:' .. ns .. '.' .. gen
end

-- Number a piece of news and tell it to every process; both are one step, so a gap is a loss.
local function tell(...)
  local seq = redis.call('INCR', root .. '~seq')
  redis.call('PUBLISH', root .. '~news', cmsgpack.pack({seq, ...}))
  return seq
end

local function now_seconds()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1e6
end

-- The expiry stands in the envelope's header, from its fifth byte on; 0 is never.
local function expired(payload)
  if #payload < 12 then
    return true  -- nobody's envelope
  end
  local at = struct.unpack('>d', payload, 5)
  return at ~= 0 and at <= now_seconds()
end

local function keep(ns, gen, name, ttl_ms, payload)
  local key = place(ns, gen, name)
  if tonumber(ttl_ms) > 0 then
    redis.call('SET', key, payload, 'PX', ttl_ms)
  else
    redis.call('SET', key, payload)
  end
  redis.call('ZADD', index(ns, gen), 0, name)
end

-- A tag's set never expires: whoever lengthens a value's life does not know its tags. It is swept.
local function tagged(first, count, member)
  for at = first, first + count - 1 do
    redis.call('SADD', root .. '~tag:' .. ARGV[at], member)
    redis.call('ZADD', root .. '~tags', 0, ARGV[at])
  end
end

-- A Redis that is full refuses what takes memory, but not in a script that has deleted before. What
-- invalidates or frees memory begins with this.
local function insist()
  redis.call('DEL', root .. '~nothing')
end

local function bump(...)
  local news = {}
  insist()
  for _, ns in ipairs({...}) do
    local old = generation(ns)
    redis.call('SADD', root .. '~garbage', ns .. '.' .. old)
    news[#news + 1] = ns
    news[#news + 1] = tostring(redis.call('INCR', root .. '~gen:' .. ns))
  end
  return tell('g', unpack(news))
end
