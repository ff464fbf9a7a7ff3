-- The state of one bucket: how it is read, brought up to now, and written.
--
-- Stored is one packed string of numbers: units in the bucket, the time they were counted at, and
-- the capacity, refill, period and version they were counted by; where there are leases or a quota
-- also tokens leased in this window and in the last, the window, quota used and the period's end.
-- A token is 1e6 * period units and a microsecond adds `refill` units, so every step is exact in
-- whole numbers below 2^53. Redis's clock is the only one.

local TIME = redis.call('TIME')
local now = TIME[1] * 1000000 + TIME[2]

-- The policy as its tier says it; `extended` where the tier has a quota or a concurrency limit.
local function read_policy(packed)
  local l = {}
  l.capacity, l.refill, l.period, l.version, l.change, l.shadow, l.max_wait, l.lease_us, l.lease =
    struct.unpack('>ddddddddd', packed)
  if #packed > 72 then
    local first, second, third
    l.quota, first, second, third, l.concurrency, l.hold_us = struct.unpack('>dddddd', packed, 73)
    -- Three ends of periods, so that a process whose clock is off chooses no other than its peers.
    l.period_end = now < first and first or now < second and second or third
  end
  return l
end

-- Leases last one window at most, so those of the window before the last have ended.
local function forget_leases(l)
  local window = math.floor(now / l.lease_us)
  if window == l.window + 1 then
    l.leased, l.leased_before = 0, l.leased
  elseif window ~= l.window then
    l.leased, l.leased_before = 0, 0
  end
  l.window = window
end

local function read_state(l, key)
  local stored = redis.call('GET', key)
  l.key, l.units, l.at, l.leased, l.leased_before, l.window, l.used = key, nil, now, 0, 0, 0, 0
  if stored and (#stored == 48 or #stored == 88) then
    local capacity, refill, period, version, quota_end
    l.units, l.at, capacity, refill, period, version = struct.unpack('>dddddd', stored)
    if #stored == 88 then
      l.leased, l.leased_before, l.window, l.used, quota_end =
        struct.unpack('>ddddd', stored, 49)
      if quota_end ~= l.period_end then l.used = 0 end
    end
    forget_leases(l)
    if version > l.version then
      -- This caller has not heard of the newest change yet; the bucket has.
      l.capacity, l.refill, l.period, l.version = capacity, refill, period, version
    elseif period ~= l.period or capacity ~= l.capacity or refill ~= l.refill then
      -- From now on the new numbers are in force, a denial writes them too: else who has not heard
      -- of them would go on filling the bucket by the old ones. When they changed is not known, so
      -- the slower of the two filled it until now.
      local rate = math.min(refill / period, l.refill / l.period) * period
      local held = (l.leased + l.leased_before) * period * 1000000
      local room = capacity * period * 1000000 - held
      if l.units < room then
        l.units = math.min(room, l.units + math.floor(math.max(0, now - l.at) * rate))
      end
      l.at = math.max(l.at, now)
      l.changed = true
      local full = l.capacity * l.period * 1000000
      if l.change == 1 then
        l.units = full
      elseif l.change == 2 then
        l.units = math.floor(l.units / (capacity * period * 1000000) * full)
      else
        l.units = math.min(math.floor(l.units / period * l.period), full)
      end
    end
  end
  l.token = l.period * 1000000
  l.full = l.capacity * l.token
  if not l.units then l.units, l.window = l.full, math.floor(now / l.lease_us) end
end

-- Put tokens back that a process held, spent or not: `of` of a window, `unspent` of them unspent.
local function take_back(l, unspent, of, window)
  if window == l.window then
    l.leased = math.max(0, l.leased - of)
  elseif window == l.window - 1 then
    l.leased_before = math.max(0, l.leased_before - of)
  end
  local room = l.full - (l.leased + l.leased_before) * l.token
  l.units = math.max(l.units, math.min(room, l.units + unspent * l.token))
end

-- Add what has come back. A clock that went back adds nothing, and no older time is ever stored;
-- what is leased counts as being in the bucket, which therefore is full earlier.
local function refill(l)
  local room = l.full - (l.leased + l.leased_before) * l.token
  if l.units < room then
    local elapsed = math.max(0, now - l.at)
    if elapsed >= (room - l.units) / l.refill then
      l.units = room
    else
      l.units = l.units + elapsed * l.refill
    end
  end
  l.at = math.max(l.at, now)
end

local function write_state(l)
  -- A full bucket is the same as none, so it expires then; never at once, which would delete it.
  local expiry = math.ceil((l.full - l.units) / l.refill / 1000) + math.ceil((l.at - now) / 1000)
  if l.units > l.full then expiry = 86400000 end -- more was granted than it holds: for a day
  local state = struct.pack('>dddddd', l.units, l.at, l.capacity, l.refill, l.period, l.version)
  if l.leased + l.leased_before > 0 or l.used > 0 then
    state = state .. struct.pack(
      '>ddddd', l.leased, l.leased_before, l.window, l.used, l.period_end or 0)
    expiry = math.max(expiry, math.ceil(2 * l.lease_us / 1000))
    if l.used > 0 then expiry = math.max(expiry, math.ceil((l.period_end - now) / 1000)) end
  end
  redis.call('SET', l.key, state, 'PX', math.max(1, expiry))
end
