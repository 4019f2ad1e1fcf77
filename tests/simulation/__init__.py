"""The pipelines and use cases over ports in memory, in schedules of faults drawn from a seed.

One seed is one schedule: who calls what when, which calls are slow, lost or answered by nobody,
which process dies or sleeps where, which backend is away. The same seed is the same run, exactly.
"""
