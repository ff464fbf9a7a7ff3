-- Decide groups of limits: each group is spent whole or not at all.
--
-- KEYS     for each limit its bucket, and with a concurrency limit its slots after it
-- ARGV[1]  "s" to spend, "e" to spend where each limit is alone and asks for tokens only, "p" to
--          look only
-- ARGV[2]  for each limit, packed: which ARGV its policy is and the cost; unless with "e" also
--          its group, tokens wanted as a lease, tokens given back unspent, tokens of that lease, its
--          window, and which ARGV names its slot (0: none)
-- ARGV     then the policies, each once, and the slots
-- Reply    nine packed numbers for each limit: what is violated (1 bucket, 2 quota, 4 concurrency),
--          tokens left, wait, time to full (microseconds), tokens leased to the caller, the window
--          of the lease, tokens leased to anybody, quota left and slots left (-1: none)
--
-- A denial writes nothing but numbers that have changed. A limit in shadow mode is told as
-- violated, and violates nothing.

local alone = ARGV[1] == 'e'
local spend = ARGV[1] == 's' or alone
local requests = ARGV[2]
local reply = {}

local function slots_taken(l)
  local taken = redis.call('ZCOUNT', l.slots, string.format('(%.0f', now), '+inf')
  if redis.call('ZSCORE', l.slots, l.slot) then taken = taken - 1 end
  return taken
end

local function look(l)
  refill(l)
  l.violated, l.wait = 0, 0
  local missing = l.cost * l.token - l.units
  if missing > 0 then
    l.wait = math.ceil(missing / l.refill) + (l.at - now)
    if l.wait > l.max_wait then
      l.violated = 1
      l.wait = l.wait - l.max_wait -- from then on it may be told to wait
    end
  end
  if l.quota and l.quota > 0 and l.used + l.cost > l.quota then
    l.violated = l.violated + 2
    l.wait = math.max(l.wait, l.period_end - now)
  end
  if l.slots then
    l.taken = slots_taken(l)
    if l.taken >= l.concurrency then
      l.violated = l.violated + 4
      local first = redis.call(
        'ZRANGEBYSCORE', l.slots, string.format('(%.0f', now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
      -- A slot may be given back at any time, and is at the latest when the first one ends.
      l.wait = math.max(l.wait, math.min(1000000, tonumber(first[2] or now) - now))
    end
  end
end

local function take(l)
  l.units = l.units - l.cost * l.token
  if l.quota and l.quota > 0 then l.used = l.used + l.cost end
  if l.wanted > 0 and l.lease > 0 then
    -- A share of what is there, so that the last tokens go one by one.
    l.granted = math.max(0, math.min(l.wanted, math.floor(l.units / l.token * l.lease)))
    l.units = l.units - l.granted * l.token
    l.leased = l.leased + l.granted
  end
  if l.slots then
    redis.call('ZREMRANGEBYSCORE', l.slots, '-inf', string.format('%.0f', now))
    redis.call('ZADD', l.slots, string.format('%.0f', now + l.hold_us), l.slot)
    redis.call('PEXPIRE', l.slots, string.format('%.0f', math.ceil(l.hold_us / 1000)))
    l.taken = l.taken + 1
  end
end

local function decide(group)
  local denied = false
  for _, l in ipairs(group) do
    look(l)
    if l.violated > 0 and l.shadow == 0 then denied = true end
  end
  for _, l in ipairs(group) do
    if spend and not denied and l.violated == 0 then
      take(l)
      write_state(l)
    elseif spend and (l.gave_back or l.changed) then
      write_state(l)
    end
    local leased = l.leased + l.leased_before
    reply[#reply + 1] = struct.pack(
      '>i8i8i8i8i8i8i8i8i8',
      l.violated,
      math.floor(l.units / l.token),
      l.wait,
      math.max(0, math.ceil((l.full - l.units) / l.refill)) + (l.at - now),
      l.granted,
      l.window,
      leased,
      l.quota and l.quota > 0 and math.max(0, l.quota - l.used) or -1,
      l.slots and math.max(0, l.concurrency - l.taken) or -1
    )
  end
end

-- The most common case again, without tables: a bucket alone, counted by the same numbers, that has
-- the tokens. Returns nil where it is any other.
local call, pack, unpack = redis.call, struct.pack, struct.unpack
local ceil, floor, max = math.ceil, math.floor, math.max
local capacity, refill, period, version, lease_us, token, full, window
local function spend_plainly(key, cost)
  local units = full
  local stored = call('GET', key)
  if stored then
    if #stored ~= 48 then return nil end
    local before, at, by_capacity, by_refill, by_period, by_version = unpack('>dddddd', stored)
    local elapsed = now - at
    if by_capacity ~= capacity or by_refill ~= refill or by_period ~= period
      or by_version > version or before > full or elapsed < 0 then
      return nil
    end
    if elapsed < (full - before) / refill then units = before + elapsed * refill end
  end
  units = units - cost * token
  if units < 0 then return nil end
  local full_after = (full - units) / refill
  call(
    'SET', key, pack('>dddddd', units, now, capacity, refill, period, version),
    'PX', max(1, ceil(full_after / 1000)))
  return pack(
    '>i8i8i8i8i8i8i8i8i8', 0, floor(units / token), 0, ceil(full_after), 0, window, 0,
    -1, -1)
end

if alone then
  local before
  for at = 1, #requests / 16 do
    local which, cost = unpack('>dd', requests, at * 16 - 15)
    local policy = ARGV[which]
    if policy ~= before then
      local _
      capacity, refill, period, version, _, _, _, lease_us = unpack('>dddddddd', policy)
      token = period * 1000000
      full = capacity * token
      window = floor(now / lease_us)
      before = policy
    end
    local done = #policy == 72 and spend_plainly(KEYS[at], cost)
    if done then
      reply[#reply + 1] = done
    else
      local l = read_policy(policy)
      read_state(l, KEYS[at])
      l.cost, l.wanted, l.granted = cost, 0, 0
      decide({ l })
    end
  end
  return table.concat(reply)
end

local group, number, next_key = {}, 0, 1
for at = 1, #requests, 64 do
  local which, cost, of, wanted, unspent, lent, lent_window, slot =
    struct.unpack('>dddddddd', requests, at)
  local l = read_policy(ARGV[which])
  if of ~= number then
    decide(group)
    group, number = {}, of
  end
  read_state(l, KEYS[next_key])
  next_key = next_key + 1
  if slot > 0 then
    l.slots, l.slot = KEYS[next_key], ARGV[slot]
    next_key = next_key + 1
  end
  l.cost, l.wanted, l.granted = cost, wanted, 0
  l.gave_back = lent > 0
  if l.gave_back then take_back(l, unspent, lent, lent_window) end
  group[#group + 1] = l
end
decide(group)
return table.concat(reply)
