"""The micro-batch engine: Faust is the control plane, the data path is ours.

    Kafka ─► consumer.py ─► one Faust event per partition and fetch ─► lanes.py ─► commit.py ─► handler ─► Effects
             (seeks before it resumes)                    (a lane for each partition)   │
                                                 DLQ → changelogs, outputs → RocksDB → ack

app.py         a Faust app for one role, from settings
consumer.py    the consumer and its transport: fetch loop, seeks, epochs
recovery.py    changelog records straight into a table's store
table.py       a Faust table of raw rows; store.py holds one partition of it, in RocksDB or in memory
rows.py        the header of a row, and which of two rows is the newer
lanes.py       one batch of a partition at a time, partitions beside each other
commit.py      runs a handler on a batch and makes its effects true, in order
publisher.py   record batches to Kafka, acknowledged
stats.py       counters and health, for whoever shows them
effects.py     what a handler gets and gives back: plain data

What it promises: effectively once for rows, at least once for outputs and dead letters.

- Order. The changelog is written and acknowledged, with it the outputs; then the local store is written, then the
  source offset may be committed. A local store is therefore never ahead of its changelog, and a lost disk loses
  nothing. commit.py has the argument.
- How far a store is. With every batch of rows, in the same atomic write, it notes up to which changelog offset no row
  is missing: where recovery read to, or where the group took a commit from the partition's owner (table.py).
- Duplicates. After a crash or a rebalance, records come again. A row carries the source offset it holds, and handlers
  follow one rule: a redelivered record at or below its row's source offset changes nothing, the row is put again, and
  the output is sent again under the id it had. Consumers of outputs drop repeated ids.
- Epochs. Every revocation and every seek ends an epoch of the consumer. A batch fetched in an earlier epoch is neither
  handled nor written nor acknowledged: it comes again from the committed offset.
- Zombies. A worker that lost its partition may still have a write on the wire. Such a row is in the changelog behind a
  newer one; recovery keeps the row with the higher source offset, not the later one (rows.py), and writes it once more,
  so that log compaction keeps it too (recovery.py).
- Poison. A handler that raises has its batch bisected until one record is left; that one goes to the dead-letter topic.
  A handler that fails on one record after the other is at fault itself: nothing more is consumed until it works.
- Broker trouble is nobody's fault: the step is repeated with growing pauses, nothing is acknowledged, and
  `Stats.trouble` says why until it is over.
"""
