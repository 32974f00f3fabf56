"""What a Redis server does with an entry, each in one step.

`KEYS` are the hash and the stream of the entry. `ARGV` begins with the time in seconds (empty for
the server's), the milliseconds to keep the entry, and 1 if the same script may have been run before
without an answer. The ids of the stream are the numbers of the frames.
"""

from __future__ import annotations

__all__ = ["APPEND", "CLAIM", "CLOSE", "LEAVE", "LIST", "READ", "RENEW"]

_BEGIN = """
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] + time[2] / 1000000
end
local again = ARGV[3] == '1'
local function get(name) return redis.call('HGET', KEYS[1], name) end
local function set(...) redis.call('HSET', KEYS[1], 'seen', string.format('%.6f', now), ...) end
local function keep()
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
local function state(lease)
    if redis.call('EXISTS', KEYS[1]) == 0 then return 'absent' end
    if get('closed') == '1' then return 'closed' end
    if get('owner') == '' or now - tonumber(get('seen')) >= tonumber(lease) then return 'left' end
    return 'alive'
end
local function finish(how)
    if how == '2' then
        redis.call('DEL', KEYS[1], KEYS[2])
    elseif how == '1' then
        set('closed', '1', 'note', '')
    end
end
"""

CLAIM = (
    _BEGIN
    + """
local owner, lease, about, note = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local found = state(lease)
if found == 'absent' then
    set('owner', owner, 'about', about, 'note', note, 'last', 0, 'size', 0, 'closed', '0')
    keep()
    return {1, found, 0, about, note}
end
local granted = 0
if found == 'left' or (again and found == 'alive' and get('owner') == owner) then
    set('owner', owner)
    keep()
    granted = 1
end
return {granted, found, tonumber(get('last')), get('about'), get('note')}
"""
)

APPEND = (
    _BEGIN
    + """
local owner, first, how, before = ARGV[4], tonumber(ARGV[5]), ARGV[6], 6
if redis.call('EXISTS', KEYS[1]) == 0 or get('owner') ~= owner then return 0 end
local last, count = tonumber(get('last')), #ARGV - before
if again and last == first + count - 1 then return 1 end
if get('closed') == '1' or last + 1 ~= first then return 0 end
local size = tonumber(get('size'))
for at = 1, count do
    local frame = ARGV[before + at]
    redis.call('XADD', KEYS[2], (first + at - 1) .. '-0', 'f', frame)
    size = size + #frame
end
set('last', last + count, 'size', size)
keep()
finish(how)
return 1
"""
)

READ = (
    _BEGIN
    + """
local lease, after, most = ARGV[4], tonumber(ARGV[5]), ARGV[6]
local page = {state(lease)}
local rows = redis.call('XRANGE', KEYS[2], (after + 1) .. '-0', '+', 'COUNT', most)
for _, row in ipairs(rows) do page[#page + 1] = row[2][2] end
return page
"""
)

RENEW = (
    _BEGIN
    + """
if redis.call('EXISTS', KEYS[1]) == 0 or get('owner') ~= ARGV[4] or get('closed') == '1' then
    return 0
end
set()
keep()
return 1
"""
)

CLOSE = (
    _BEGIN
    + """
if redis.call('EXISTS', KEYS[1]) == 0 then return (again and ARGV[5] == '2') and 1 or 0 end
if get('owner') ~= ARGV[4] then return 0 end
if get('closed') == '1' then return again and 1 or 0 end
keep()
finish(ARGV[5])
return 1
"""
)

LEAVE = (
    _BEGIN
    + """
if redis.call('EXISTS', KEYS[1]) == 1 and get('owner') == ARGV[4] and get('closed') ~= '1' then
    set('owner', '')
    keep()
end
return 1
"""
)

LIST = (
    _BEGIN
    + """
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
return redis.call('HMGET', KEYS[1], 'about', 'owner', 'last', 'size', 'seen', 'closed')
"""
)
