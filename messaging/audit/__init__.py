"""The audit: accounts for every message that was accepted, and mends what disagrees.

`audit.Audit` walks one kind of thing after the other (`check.Check`), beside a service that runs.
It knows ports alone; `wiring` builds it, `manage.py audit` runs it.
"""
