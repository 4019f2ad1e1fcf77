"""Keep the message tables, with the only raw SQL: one module a dialect."""
