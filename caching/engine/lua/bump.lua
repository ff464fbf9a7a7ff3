-- Begin a new generation of namespaces: what they held is out of reach at once, and swept later.
-- ARGV: namespaces. Returns the news' number.
return bump(unpack(ARGV))
