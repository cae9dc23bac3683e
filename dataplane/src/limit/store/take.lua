-- Takes one of each limit, or of none: KEYS are their buckets, with eight arguments each.
--   kind    'w' a window that slides, 'd' a day of UTC, 'm' a month of UTC
--   most    how many are allowed
--   ms      length of the window
--   owed    what was admitted beside the store, while it was away, and still counts
--   total   of all that was ever owed on this account; what of it has been taken in is kept, so that a question that is asked again adds nothing
--   period  which day or month `owed` and `known` are of
--   known   how many had been used by then: a store that has lost them is told
--   account whose debt it is: a word that begins with a letter
-- What is owed is taken in also where none is taken. Answers five whole numbers for each: 1 or 0 for taken or not, what is left, milliseconds
-- until there is more, the day or month, and what is used of it. The clock is the server's own.
local PARTS = 60
local KEPT_MS = 7 * 86400 * 1000
local MOST = 4000000000
local MOST_ACCOUNTS = 200
local EACH = 8

local clock = redis.call('TIME')
local seconds = tonumber(clock[1])
local now = seconds * 1000 + math.floor(tonumber(clock[2]) / 1000)

-- Days since 1970 and the civil calendar, after Howard Hinnant's derivation of both.
local function civil(days)
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  return yoe + era * 400 + (month <= 2 and 1 or 0), month
end

local function first_day(year, month)
  local y = month <= 2 and year - 1 or year
  local era = math.floor(y / 400)
  local yoe = y - era * 400
  local doy = math.floor((153 * (month > 2 and month - 3 or month + 9) + 2) / 5)
  return era * 146097 + yoe * 365 + math.floor(yoe / 4) - math.floor(yoe / 100) + doy - 719468
end

local today = math.floor(seconds / 86400)

-- Its number, and when it ends, in milliseconds since 1970.
local function period(kind)
  if kind == 'd' then return today, (today + 1) * 86400000 end
  local year, month = civil(today)
  local next_year, next_month = year, month + 1
  if next_month == 13 then next_year, next_month = year + 1, 1 end
  return year * 12 + month - 1, first_day(next_year, next_month) * 86400000
end

local function forgotten(part, ms)
  return math.ceil((part + PARTS + 1) * ms / PARTS) - now
end

-- What of a debt has not been taken in yet.
local function unpaid(paid, owed, total)
  return math.max(0, math.min(owed, total - tonumber(paid or 0)))
end

local function window(key, who, most, ms, owed, total)
  local part = math.floor(now * PARTS / ms)
  local parts, used, stale, others, paid = {}, 0, {}, {}, nil
  local held = redis.call('HGETALL', key)
  for at = 1, #held, 2 do
    local number, count = tonumber(held[at]), tonumber(held[at + 1])
    if held[at] == who then
      paid = count
    elseif number and number + PARTS >= part then
      parts[#parts + 1] = { number, count }
      used = used + count
    elseif number then
      stale[#stale + 1] = held[at]
    else
      others[#others + 1] = held[at]
    end
  end
  -- Accounts of processes that are gone.
  if #others > MOST_ACCOUNTS then stale = others end
  local debt = unpaid(paid, owed, total)
  used = used + debt
  table.sort(parts, function(one, other) return one[1] < other[1] end)
  local function write(one)
    if one + debt == 0 then return end
    redis.call('HINCRBY', key, part, one + debt)
    if debt > 0 then redis.call('HSET', key, who, total) end
    if #stale > 0 then redis.call('HDEL', key, unpack(stale)) end
    redis.call('PEXPIRE', key, 2 * ms)
  end
  local oldest = parts[1] and parts[1][1] or part
  if used < most then return { 1, most - used - 1, forgotten(oldest, ms), 0, 0 }, write end
  local freeing = part
  for _, one in ipairs(parts) do
    used = used - one[2]
    if used < most then freeing = one[1] break end
  end
  return { 0, 0, forgotten(freeing, ms), 0, 0 }, write
end

local function quota(key, who, kind, most, owed, total, of, known)
  local number, ends = period(kind)
  local stood = tonumber(redis.call('HGET', key, number) or 0)
  local used, debt = stood, 0
  if of == number then
    used = math.max(used, known)
    debt = unpaid(redis.call('HGET', key, number .. who), owed, total)
  end
  used = math.min(used + debt, MOST)
  local answer = { used < most and 1 or 0, math.max(0, most - used - 1), ends - now, number, used }
  local function write(one)
    answer[5] = used + one
    if answer[5] == stood and debt == 0 then return end
    redis.call('HSET', key, number, answer[5])
    if debt > 0 then redis.call('HSET', key, number .. who, total) end
    -- That before stays: a clock may be set back.
    for _, field in ipairs(redis.call('HKEYS', key)) do
      if tonumber(string.match(field, '^%d+')) < number - 1 then redis.call('HDEL', key, field) end
    end
    redis.call('PEXPIREAT', key, ends + KEPT_MS)
  end
  return answer, write
end

local answers, writes, taken = {}, {}, true
for at = 1, #KEYS do
  local base = (at - 1) * EACH
  local kind, who, numbers = ARGV[base + 1], ARGV[base + EACH], {}
  for index = 2, EACH - 1 do numbers[index] = tonumber(ARGV[base + index]) end
  local most, ms, owed, total, of, known = unpack(numbers, 2, EACH - 1)
  if kind == 'w' then
    answers[at], writes[at] = window(KEYS[at], who, most, ms, owed, total)
  else
    answers[at], writes[at] = quota(KEYS[at], who, kind, most, owed, total, of, known)
  end
  taken = taken and answers[at][1] == 1
end
for _, write in ipairs(writes) do write(taken and 1 or 0) end
local told = {}
for _, answer in ipairs(answers) do
  for _, number in ipairs(answer) do told[#told + 1] = number end
end
return told
