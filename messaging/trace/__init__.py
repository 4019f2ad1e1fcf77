"""Tell one message's life from every place that may know the message.

`trace.Tracer` asks the cache, the log and the database, each within a bound. The tracer knows ports
alone: `runtime.adapters` builds the adapters, and `manage.py trace` and the admin run the tracer. A
trace holds no text of a message, no name and no `clientMsgId`, so that no output of a trace can
show one.
"""
