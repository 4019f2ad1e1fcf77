-- Cache rows of the store. Uses incarnation, state.
--
-- KEYS  for each row: its detail, its recall mark
-- ARGV  for each row: its text

for n, text in ipairs(ARGV) do cache_row(KEYS[2 * n - 1], KEYS[2 * n], text) end
