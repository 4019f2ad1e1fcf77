"""Move messages: accept them, persist them from the log, repair them, set them aside."""
