"""The contestants of `benchmarks/engine.py`, each a process of its own over the same recorded events.

load.py       the recorded events, items and vectors
child.py      how a contestant is started, told what to do, and how it answers; needs the standard library alone
floor.py      aiokafka by itself: what no engine on it can beat
handlers.py   what our engine is given to do: decode, count, profiles, retrieval
engine.py     our engine with one of those
product.py    our engine with the product's own handler and a full replica
recovery.py   our engine with an empty disk and a long changelog
faust_app.py  the same work in plain Faust
quix_app.py   the same count in Quix Streams
quix.py       the Python that has Quix Streams
latency.py    from event to recommendation, through `upwell worker`
machine.py    what else the machine does meanwhile
report.py     the table, and what it was measured on
"""
