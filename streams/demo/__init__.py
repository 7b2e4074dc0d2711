"""`upwell demo`: a grocer's year of receipts through the whole of Upwell, with a view to watch it.

    dataset ──► feed ──► Kafka ──► worker (child process) ──► Kafka ──► watch ──► tracker ──► view, outcome

receipts.py                the data set's files
dataset.py, wording.py     receipts as catalogue items and events
feed.py, watch.py          into Kafka, out of Kafka
ledger.py meters.py        pure: which event is answered, how fast
score.py changes.py        pure: hit rates; what changed between two recommendations
following.py tracker.py    pure: one shopper; all of a run
view.py display.py         how it looks, on a terminal and without one
home.py child.py stop.py   a run's directory, the worker's process, signals
session.py run.py          one run, from Kafka's side and as a whole
"""
