"""Make the load of one lap in processes of their own, and merge their outcomes.

The code of a load process knows nothing of Django, so that a process starts fast and stays small.
"""
