-- Cache rows of the store. Uses state.
--
-- KEYS  a detail and a recall mark each
-- ARGV  the text of each

for n, text in ipairs(ARGV) do cache_row(KEYS[2 * n - 1], KEYS[2 * n], text) end
