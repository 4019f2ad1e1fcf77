-- Part: read arguments that come in rows, such as one row for each message.

-- Iterate over the rows of ARGV behind the first `skipped` arguments; each row has `width` values.
local function rows(width, skipped)
  local last = skipped
  return function()
    local first = last + 1
    last = last + width
    return unpack(ARGV, first, last)
  end
end
