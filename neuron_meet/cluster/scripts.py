"""What Redis does in one step, in Lua. All keys of a script share a hash tag."""

from __future__ import annotations

COMMIT = """
-- KEYS: state, log, kept out, channel. ARGV: expected version, entry, publish command, log length, seconds to keep an
-- empty room, seconds to keep who is kept out, how many of these at most, number of fields set, (field, value)...,
-- number deleted, field..., number of those kept out, (key, until)..., forget them all.
-- Answers {1, new version} or {0, version found}.
local found = redis.call('HGET', KEYS[1], 'v') or '0'
if found ~= ARGV[1] then return {0, found} end
-- Later than any version before it, those that Redis may have lost included: two histories share no version.
local time = redis.call('TIME')
local version = string.format('%.0f', math.max(
  tonumber(found) + 1, tonumber(time[1]) * 1000000 + tonumber(time[2])))
redis.call('HSET', KEYS[1], 'v', version)
local at = 8
local count = tonumber(ARGV[at])
for i = at + 1, at + 2 * count, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
at = at + 2 * count + 1
count = tonumber(ARGV[at])
for i = at + 1, at + count do redis.call('HDEL', KEYS[1], ARGV[i]) end
at = at + count + 1
count = tonumber(ARGV[at])
if ARGV[at + 2 * count + 1] == '1' then redis.call('DEL', KEYS[3]) end
for i = at + 1, at + 2 * count, 2 do redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) end
if count > 0 then
  redis.call('EXPIRE', KEYS[3], ARGV[6])
  local most = tonumber(ARGV[7])
  if redis.call('HLEN', KEYS[3]) > most then  -- what is over goes, then what ends soonest; a quarter is free then
    local all, lasting = redis.call('HGETALL', KEYS[3]), {}
    for i = 1, #all, 2 do
      local ends = tonumber(all[i + 1])
      if ends and ends > tonumber(time[1]) then
        lasting[#lasting + 1] = {ends, all[i]}
      else
        redis.call('HDEL', KEYS[3], all[i])
      end
    end
    table.sort(lasting, function(one, other) return one[1] > other[1] end)
    for i = math.floor(most * 3 / 4) + 1, #lasting do redis.call('HDEL', KEYS[3], lasting[i][2]) end
  end
end
local body = found .. ' ' .. version .. '\\n' .. ARGV[2]
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], version .. '-0', 'e', body)
-- 'v', 'ms' and 'rules' are there as long as the room is; anything else is somebody in it or on the way in.
if redis.call('HLEN', KEYS[1]) > 3 then
  redis.call('PERSIST', KEYS[1])
  redis.call('PERSIST', KEYS[2])
else
  redis.call('EXPIRE', KEYS[1], ARGV[5])
  redis.call('EXPIRE', KEYS[2], ARGV[5])
end
redis.call(ARGV[3], KEYS[4], body)
return {1, version}
"""

LOAD = """
-- KEYS: state, kept out. Answers {fields and values of the one, of the other}.
return {redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2])}
"""

DROP_ROOM = """
-- KEYS: state, log, kept out, channel. ARGV: version found, publish command, message. Something that no node has
-- written stands where a room's state should: it goes, if it still is what was found; who has people in the room hears
-- the message. Answers whether it went.
local function wrong(key, expected)
  local kind = redis.call('TYPE', key).ok
  return kind ~= 'none' and kind ~= expected
end
local lists = wrong(KEYS[3], 'hash')
if not (wrong(KEYS[1], 'hash') or wrong(KEYS[2], 'stream') or lists)
  and (redis.call('HGET', KEYS[1], 'v') or '') ~= ARGV[1] then return 0 end
local dropped = redis.call('DEL', KEYS[1], KEYS[2])
if lists then dropped = dropped + redis.call('DEL', KEYS[3]) end
if dropped > 0 then redis.call(ARGV[2], KEYS[4], ARGV[3]) end
return dropped
"""

KEEP_OUT = """
-- KEYS: kept out. ARGV: seconds to keep it, (name, until).... An entry that lasts longer stays.
for i = 2, #ARGV, 2 do
  local found = tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or '') or 0
  if tonumber(ARGV[i + 1]) > found then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
"""

TAKE_TURN = """
-- KEYS: turn, state. ARGV: token, milliseconds. Answers the room's version, or '' where it is another's turn.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return redis.call('HGET', KEYS[2], 'v') or '0'
end
return ''
"""

END_TURN = """
-- KEYS: turn. ARGV: token.
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

EXTEND_TURN = """
-- KEYS: turn. ARGV: token, milliseconds.
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
"""

TAKE_FROM_BUCKET = """
-- KEYS: bucket. ARGV: tokens of a full one, milliseconds in which it fills. Answers 1, or 0 where there is no token.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
local full, period = tonumber(ARGV[1]), tonumber(ARGV[2])
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = full
if bucket[1] then
  tokens = math.min(full, tonumber(bucket[1]) + math.max(0, now - tonumber(bucket[2])) * full / period)
end
local taken = tokens >= 1
if taken then tokens = tokens - 1 end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.3f', now))
redis.call('PEXPIRE', KEYS[1], period)  -- it is full by then
return taken and 1 or 0
"""

ENROLL = """
-- KEYS: nodes, formats, former nodes. ARGV: node, milliseconds of its lease, format, former format. The node is one
-- from now on, unless nodes of another format live: answers those, as '<format> <node>'.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local others = {}
for _, name in ipairs(redis.call('ZRANGE', KEYS[3], now, '+inf', 'BYSCORE')) do
  others[#others + 1] = ARGV[4] .. ' ' .. name
end
local ours = ARGV[3] .. ' '
for _, name in ipairs(redis.call('ZRANGE', KEYS[2], now, '+inf', 'BYSCORE')) do
  if string.sub(name, 1, #ours) ~= ours then others[#others + 1] = name end
end
if #others == 0 then
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
  redis.call('ZADD', KEYS[2], now + tonumber(ARGV[2]), ours .. ARGV[1])
end
return others
"""

BEAT = """
-- KEYS: nodes, dead, formats, former nodes. ARGV: node, milliseconds of its lease, format. Answers {whether the node
-- was found dead, the nodes whose lease has ended, how many of the former format live}; a dead node's lease is not
-- renewed.
if redis.call('ZSCORE', KEYS[2], ARGV[1]) then return {1, {}, 0} end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('ZADD', KEYS[3], now + tonumber(ARGV[2]), ARGV[3] .. ' ' .. ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', '(' .. now)
return {0, redis.call('ZRANGE', KEYS[1], '-inf', '(' .. now, 'BYSCORE'), redis.call('ZCOUNT', KEYS[4], now, '+inf')}
"""

FIND_DEAD = """
-- KEYS: nodes, dead. ARGV: node, milliseconds for which the dead are remembered. Answers whether the node is dead: its
-- lease has ended, and from this moment on it is not renewed.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not ends or tonumber(ends) >= now then return 0 end
redis.call('ZADD', KEYS[2], 'NX', now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[2]))
return 1
"""

EXPECT = """
-- KEYS: nodes. ARGV: milliseconds, node.... Nodes of which nothing is known have so long to renew their lease.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 'NX', now + tonumber(ARGV[1]), ARGV[i]) end
return 1
"""

LIVES = """
-- KEYS: nodes. ARGV: node. Answers whether its lease goes on, or that of the same node under a later name (name.1).
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], now, '+inf', 'BYSCORE')) do
  if name == ARGV[1] or string.sub(name, 1, #ARGV[1] + 1) == ARGV[1] .. '.' then return 1 end
end
return 0
"""
