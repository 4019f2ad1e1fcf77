"""Account for every message that was accepted, and mend what disagrees.

`audit.Audit` runs one check (`check.Check`) after the other, beside a service that runs. The audit
knows ports alone, no adapter: `runtime.adapters` builds the adapters, and `manage.py audit` runs
the audit.
"""
