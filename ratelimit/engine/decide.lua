-- Decide groups of limits: each group is spent whole or not at all.
--
-- KEYS     for each limit its bucket, and with a concurrency limit its slots after it
-- ARGV[1]  "s" to spend, "e" to spend where each limit is a group of its own, "p" to look only
-- ARGV     then for each limit: the policy; the request (group, cost, and where there are leases:
--          tokens wanted as a lease, tokens given back unspent, tokens of that lease, its window);
--          with a concurrency limit also the name of the slot
-- Reply    nine packed numbers for each limit: what is violated (1 bucket, 2 quota, 4 concurrency), tokens
--          left, wait, time to full (microseconds), tokens leased to the caller, the window of the
--          lease, tokens leased to anybody, quota left (-1: none), slots left (-1: none)
--
-- A denial writes nothing. A limit in shadow mode is told as violated, and violates nothing.

local alone = ARGV[1] == 'e'
local spend = ARGV[1] == 's' or alone
local reply = {}
local next_key, next_argument = 1, 2

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
    elseif spend and l.gave_back then
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
local function spend_plainly(key, policy, cost)
  local capacity, refill, period, version, _, _, _, lease_us = struct.unpack('>dddddddd', policy)
  local token = period * 1000000
  local full = capacity * token
  local units = full
  local stored = redis.call('GET', key)
  if stored then
    if #stored ~= 48 then return nil end
    local before, at, by_capacity, _, by_period, by_version = struct.unpack('>dddddd', stored)
    local elapsed = now - at
    if by_capacity ~= capacity or by_period ~= period or by_version > version
      or before > full or elapsed < 0 then
      return nil
    end
    if elapsed < (full - before) / refill then units = before + elapsed * refill end
  end
  units = units - cost * token
  if units < 0 then return nil end
  local full_after = (full - units) / refill
  redis.call(
    'SET', key, struct.pack('>dddddd', units, now, capacity, refill, period, version),
    'PX', math.max(1, math.ceil(full_after / 1000)))
  return struct.pack(
    '>i8i8i8i8i8i8i8i8i8', 0, math.floor(units / token), 0, math.ceil(full_after), 0,
    math.floor(now / lease_us), 0, -1, -1)
end

if alone then
  for at = 2, #ARGV, 2 do
    if #ARGV[at] ~= 72 or #ARGV[at + 1] ~= 16 then break end
    local _, cost = struct.unpack('>dd', ARGV[at + 1])
    local done = spend_plainly(KEYS[at / 2], ARGV[at], cost)
    if not done then break end
    reply[at / 2] = done
    next_key, next_argument = at / 2 + 1, at + 2
  end
end

local group, number = {}, next_argument / 2 - 1
while ARGV[next_argument] do
  local l = read_policy(ARGV[next_argument])
  local request = ARGV[next_argument + 1]
  local of, cost = struct.unpack('>dd', request)
  local wanted, unspent, lent, window = 0, 0, 0, 0
  if #request > 16 then
    wanted, unspent, lent, window = struct.unpack('>dddd', request, 17)
  end
  next_argument = next_argument + 2
  if of ~= number then
    decide(group)
    group, number = {}, of
  end
  read_state(l, KEYS[next_key])
  next_key = next_key + 1
  if l.concurrency and l.concurrency > 0 then
    l.slots, l.slot = KEYS[next_key], ARGV[next_argument]
    next_key, next_argument = next_key + 1, next_argument + 1
  end
  l.cost, l.wanted, l.granted = cost, wanted, 0
  l.gave_back = lent > 0
  if l.gave_back then take_back(l, unspent, lent, window) end
  group[#group + 1] = l
end
decide(group)
return table.concat(reply)
