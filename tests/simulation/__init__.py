"""Run the pipelines and use cases over ports in memory, in schedules of faults drawn from a seed.

One seed is one schedule: which client makes which call when, which calls are slow, lost or never
answered, which process dies or sleeps where, and which backend is away. The same seed gives exactly
the same run.
"""
