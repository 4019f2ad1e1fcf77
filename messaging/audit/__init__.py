"""Account for every message that was accepted, and mend what disagrees.

`audit.Audit` runs one check (`check.Check`) after the other, beside a service that runs. The audit
knows ports alone, no adapter: `wiring` builds the audit, and `manage.py audit` runs it.
"""
