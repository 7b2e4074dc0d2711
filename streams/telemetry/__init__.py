"""What a process tells about itself: metrics, and traces where they are wanted.

    lag.py freshness.py clicks.py   PURE: what is measured, without clock, Kafka or Prometheus
    instruments.py                  all of it as Prometheus metrics
    observing.py                    looks at the engine, the index and Kafka, and tells the instruments
    requests.py                     the trace context of HTTP requests, without OpenTelemetry
    tracing.py                      spans, and the trace context in Kafka headers

No label ever holds anything that came with a record: roles, partitions, reasons, channels and names of policies only.
"""
