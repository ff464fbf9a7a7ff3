-- Put tokens into a bucket outside of its refill.
--
-- KEYS[1]  the bucket
-- ARGV     1 the policy; 2 tokens; 3 "refund" what was spent in vain (up to the capacity, and
--          taken off the quota), "grant" more than the bucket may hold, "return" a lease,
--          "reset" the bucket and its quota;
--          4 and 5 with "return": tokens of the lease and its window
-- Reply    tokens in the bucket

if ARGV[3] == 'reset' then return redis.call('DEL', KEYS[1]) end

local l = read_policy(ARGV[1])
local tokens = tonumber(ARGV[2])
read_state(l, KEYS[1])
refill(l)
if ARGV[3] == 'grant' then
  l.units = math.min(l.units + tokens * l.token, 9007199254740991)
elseif ARGV[3] == 'return' then
  take_back(l, tokens, tonumber(ARGV[4]), tonumber(ARGV[5]))
else
  l.used = math.max(0, l.used - tokens)
  l.units = math.max(l.units, math.min(l.full, l.units + tokens * l.token))
end
write_state(l)
return math.floor(l.units / l.token)
