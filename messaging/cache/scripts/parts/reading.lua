-- Part: read the newest listed messages of a conversation below an id, without the messages that a
-- reader has deleted. Uses incarnation, tail, guard.

-- Renew the expiry of a list and its loaded mark, once a minute at most, because each renewal is
-- written to the append-only file.
local function refresh(list, loaded, mark, length)
  local left = redis.call('TTL', length > 0 and list or loaded)
  if left >= 0 and left < TAIL_TTL_S - TAIL_REFRESH_S then
    redis.call('EXPIRE', list, TAIL_TTL_S)
    if mark and not is_filling(mark) then redis.call('EXPIRE', loaded, TAIL_TTL_S) end
  end
end

-- Return the loaded mark, its floor and its base. A mark whose list was evicted is dropped.
local function whole_mark(loaded, length)
  local mark = read_mark(loaded)
  local floor, base = bounds(mark)
  if mark == EMPTY_TAIL and length == 0 then return mark, '0', 0 end
  if floor and length == 0 then
    redis.call('DEL', loaded)
    return nil, nil, nil
  end
  return mark, floor, base
end

-- Return listed ids from an index on without the deleted ones, the index after the last id that was
-- read, and that id.
local function undeleted(list, first, length, limit, deleted)
  local ids, read, lowest = {}, first, nil
  local stop, wanted = math.min(length, first + MOST_IDS_READ), math.min(limit, 500)
  while #ids < limit and read < stop do
    local part = redis.call('LRANGE', list, read, math.min(read + wanted, stop) - 1)
    local hidden = deleted and redis.call('SMISMEMBER', deleted, unpack(part)) or {}
    for n, id in ipairs(part) do
      if #ids == limit then break end
      if hidden[n] ~= 1 then ids[#ids + 1] = id end
      read, lowest = read + 1, id
    end
    wanted = math.min(2 * wanted, 500) -- very many deletes may follow one another
  end
  return ids, read, lowest
end

-- Return the texts of messages, no more than one after their bytes reach `most`; and the bytes.
local function read_texts(ids, prefix, most)
  local names, texts, bytes = {}, {}, 0
  for n, id in ipairs(ids) do names[n] = prefix .. id end
  for from = 1, #names, 50 do
    for _, text in ipairs(read_details(names, from, math.min(from + 49, #names))) do
      if bytes < most then
        texts[#texts + 1] = text
        bytes = bytes + (text and #text or 0)
      end
    end
    if bytes >= most then break end
  end
  return texts, bytes
end

-- Return a tail, and the bytes of its texts. `deleted`: the key of the reader's deletes, nil where
-- it has none. `prefix`: of the details' keys, '' for ids alone. `most`: the bytes of texts after
-- which the tail ends.
--
-- A tail is ids without the deleted ones, their texts (nil where not cached), the lowest id read
-- (nil when it was the list's last), floor and total (nil when not loaded).
--
-- The details' keys cannot be declared, since the list gives their ids, and a second trip would
-- read another state. Redis needs declared keys only to find the right node of a cluster.
local function read_tail(list, loaded, deleted, before, limit, prefix, most)
  local length = redis.call('LLEN', list)
  local mark, floor, base = whole_mark(loaded, length)
  local first = 0
  if before ~= '' then
    first = place(list, before)
    if redis.call('LINDEX', list, first) == before then first = first + 1 end
  end
  local ids, read, lowest = undeleted(list, first, length, limit, deleted)
  local texts, bytes, goes_on = {}, 0, read < length
  if prefix ~= '' then
    texts, bytes = read_texts(ids, prefix, most)
    if #texts < #ids then
      lowest, goes_on = ids[#texts], true
      ids = { unpack(ids, 1, #texts) }
    end
  end
  refresh(list, loaded, mark, length)
  return {
    ids,
    texts,
    goes_on and lowest or false,
    floor or false,
    floor and base + length or false,
  }, bytes
end

-- Return the key of a reader's deletes, nil where it has no message. `token`: the key has one.
local function filled(deleted, has_token)
  return redis.call('SCARD', deleted) > (has_token and 1 or 0) and deleted or nil
end
