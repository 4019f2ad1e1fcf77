"""Benchmark the running service over HTTP, check what was stored, and report.

`manage.py bench` is the only caller. The code of the load processes (`load_process` and what it
imports) knows nothing of Django, so that a load process starts fast and stays small.
"""
