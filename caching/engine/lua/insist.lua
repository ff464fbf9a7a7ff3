-- Run a command even where Redis is full. ARGV: the command.
insist()
return redis.call(unpack(ARGV))
