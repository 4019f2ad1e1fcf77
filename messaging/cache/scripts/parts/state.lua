-- Part: read and change the state of a message in its encoded text. Uses incarnation.
--
-- The text is never decoded, because Lua's numbers would spoil ids. A user's content cannot contain
-- the patterns found and replaced here, since a quote inside a JSON string is escaped.

local IS_PENDING = '"persistStatus":"PENDING"'
local NOT_STORED = '"seq":null,' .. IS_PENDING
local IS_STORED = '"persistStatus":"PERSISTED"'
local STORED = '"seq":%s,' .. IS_STORED
local REV = '"rev":%s,'
local IS_RECALLED = '"status":"RECALLED"'

local function holds(text, pattern)
  return string.find(text, pattern, 1, true) ~= nil
end

local function replaced(text, pattern, by)
  local first, last = string.find(text, pattern, 1, true)
  if not first then return text end
  return string.sub(text, 1, first - 1) .. by .. string.sub(text, last + 1)
end

-- Return the time of a recalled text's recall and who recalled ('' for the sender), both as digits,
-- and the fields of the recall as they are written; nil for a text that is not recalled.
local function recall_of(text)
  local first, last, time = string.find(text, '"recallTime":(%d+)')
  if not first then return nil end
  local _, by_last, by = string.find(text, '^,"recalledBy":"(%d+)"', last + 1)
  return time, by or '', string.sub(text, first, by_last or last)
end

-- Tell whether one recall goes before another in a join: the earlier, then the sender's own, then
-- that of the smaller id. Digits of one width are in the order of their numbers.
local function precedes(time, by, other_time, other_by)
  return string.format('%19s%19s', time, by) < string.format('%19s%19s', other_time, other_by)
end

-- Return a pending text as the text of the stored message, under this seq (digits).
local function persisted(text, seq)
  return replaced(text, NOT_STORED, string.format(STORED, seq))
end

-- Return the text of a stored message with this rev (digits), unless its own rev is greater.
local function changed(text, rev)
  local own = string.match(text, '"rev":(%d+),')
  if not own then return replaced(text, IS_STORED, IS_STORED .. ',"rev":' .. rev) end
  if tonumber(own) >= tonumber(rev) then return text end
  return replaced(text, string.format(REV, own), string.format(REV, rev))
end

-- Return a tombstone's text with the cached seq, the greater rev, and the first of both recalls.
local function tombstone_over(cached, tombstone)
  if not cached then return tombstone end
  local seq, rev = string.match(cached, '"seq":(%d+)'), string.match(cached, '"rev":(%d+),')
  local text = seq and persisted(tombstone, seq) or tombstone
  if rev then text = changed(text, rev) end
  local cached_time, cached_by, cached_recall = recall_of(cached)
  local time, by, recall = recall_of(tombstone)
  if cached_time and precedes(cached_time, cached_by, time, by) then
    text = replaced(text, recall, cached_recall)
  end
  return text
end

-- Return the id of the message that a recall mark's key names.
local function marked_id(cancel)
  return string.sub(cancel, #CANCEL + 1)
end

local function drop_recall_mark(cancel)
  redis.call('DEL', cancel)
  redis.call('SREM', CANCELS, marked_id(cancel))
end

-- Cache a tombstone that is stored, and drop its recall mark, which has no further use.
local function store_tombstone(detail, cancel, tombstone)
  local text = tombstone_over(redis.call('GET', detail), tombstone)
  redis.call('SET', detail, text, 'EX', DETAIL_TTL_S)
  drop_recall_mark(cancel)
end

-- Cache a row as read from the store, which may be older than the state in the cache.
local function cache_row(detail, cancel, text)
  if holds(text, IS_RECALLED) then
    store_tombstone(detail, cancel, text)
  elseif redis.call('EXISTS', cancel) == 0 and not read_details({ detail }, 1, 1)[1] then
    redis.call('SET', detail, text, 'EX', DETAIL_TTL_S)
  end
end
