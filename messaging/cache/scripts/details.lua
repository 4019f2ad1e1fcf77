-- Return the texts of details, nil where there is none. Uses incarnation.
--
-- KEYS  the details

return read_details(KEYS, 1, #KEYS)
