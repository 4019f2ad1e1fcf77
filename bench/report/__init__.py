"""Judge a run, and present it as JSON, text or a page, alone or beside an earlier run."""
