"""The benchmark: drives the running service over HTTP, checks what it stored, reports.

`manage.py bench` is its only caller. What runs in the load processes (`load_process` and what it
imports) knows nothing of Django, so that it starts fast and stays small.
"""
