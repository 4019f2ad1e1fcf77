-- Cache rows of the store. Uses rows, incarnation, state.
--
-- ARGV  for each row: id, text

for id, text in rows(2, 0) do cache_row(DETAIL .. id, CANCEL .. id, text) end
