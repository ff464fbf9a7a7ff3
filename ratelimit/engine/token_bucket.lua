-- Token bucket, decided and stored in one step.
--
-- KEYS[1]  the bucket
-- ARGV     1 capacity and 2 cost in tokens, 3 refill tokens, 4 refill period in seconds,
--          5 "1" to spend, "0" to look only
-- Reply    {allowed, tokens left (whole), wait in microseconds, microseconds to full}
--
-- State is one packed string: units in the bucket, and the time they were counted at. A token is
-- 1e6 * period units and a microsecond adds `refill` units, so every step is exact in whole
-- numbers below 2^53. Redis's clock is the only one. A denial writes nothing.

local capacity, cost = tonumber(ARGV[1]), tonumber(ARGV[2])
local refill, period = tonumber(ARGV[3]), tonumber(ARGV[4])
local token = period * 1000000
local full = capacity * token

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local units, at = full, now

local stored = redis.call('GET', KEYS[1])
if stored and #stored == 24 then
  local before, stored_period
  before, at, stored_period = struct.unpack('>ddd', stored)
  -- An admin changed the period: the tokens in hand stay, counted in the new unit.
  if stored_period ~= period then
    before = math.floor(before / stored_period * period)
  end
  -- A clock that went back adds nothing, and never stores an older time.
  local elapsed = math.max(0, now - at)
  if elapsed >= (full - before) / refill then
    units = full
  else
    units = before + elapsed * refill
  end
  units = math.min(units, full)
  at = math.max(at, now)
end

local need = cost * token
local allowed = units >= need
if allowed and ARGV[5] == '1' then
  units = units - need
  -- A full bucket is the same as none, so it expires then; never at once, which would delete it.
  local expiry = math.max(1, math.ceil((full - units) / refill / 1000) + math.ceil((at - now) / 1000))
  redis.call('SET', KEYS[1], struct.pack('>ddd', units, at, period), 'PX', string.format('%.0f', expiry))
end

local wait = 0
if not allowed then
  wait = math.ceil((need - units) / refill) + (at - now)
end
return {
  allowed and 1 or 0,
  math.floor(units / token),
  wait,
  math.ceil((full - units) / refill) + (at - now),
}
