"""Look at an instance and its surroundings, and name a remedy for everything that is wrong.

`manage.py doctor` prints the report. Each area has a module with small checks. A check asks, and
changes nothing. An area's module is the only place that knows its vendor: an error of a driver
becomes a verdict there.
"""
