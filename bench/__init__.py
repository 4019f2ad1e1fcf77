"""Benchmark the running service over HTTP, check the stored messages, and report.

`manage.py bench` is the only caller. `run` makes the accounts, takes the scenarios in turn, checks
the messages, and returns a run, of which `report` makes text, JSON and a page. The benchmark
imports models, keys and ids of `messaging`. Nothing imports the benchmark.
"""
