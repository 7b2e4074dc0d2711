"""Vectors to neighbours, in the process, while the vectors change.

Start at `index.live.LiveIndex` on an event loop, at `index.hnsw.HnswIndex` anywhere else. `index.exact.ExactIndex`
looks at every vector; `index.base.VectorIndex` is what they have in common.
"""
