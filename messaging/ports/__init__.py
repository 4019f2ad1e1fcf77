"""State what each backing service promises to the use cases and pipelines, whatever serves it.

All ports are asynchronous: a use case reads the same under Django, under the gateway and in a
simulator that owns the event loop. An adapter around a blocking client keeps its own threads.
Adapters raise only the `BackendError`s named here. Every call ends in bounded time.
"""
