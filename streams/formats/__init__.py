"""How records are written on topics: JSON, Avro with a schema registry, CloudEvents. All of them become the same JSON.

record ─► which format (`reading`) ─► `cloudevents`: envelope or headers ─► JSON ─► the guarded edge checks it
                                  └─► `avro`: by its writer's schema, which `registry` has
"""
