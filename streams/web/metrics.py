"""Numbers of the HTTP service, by route template: no path, and so no id, ever becomes a label."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class HttpMetrics:
    """What is counted of requests. `waiting` is read when it is asked for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "upwell_http_requests", "Requests answered", ["route", "method", "status"], registry=registry
        )
        self._seconds = Histogram(
            "upwell_http_request_seconds", "From arrival to answer", ["route"], buckets=BUCKETS, registry=registry
        )
        self.waiting = Gauge("upwell_http_waiting", "Requests waiting for their turn", registry=registry)
        self.connections = Gauge("upwell_http_connections", "Connections that are open", registry=registry)
        self.turned_away = Counter(
            "upwell_http_turned_away", "Connections closed at once, for there were too many", registry=registry
        )
        self.items = Gauge("upwell_serving_items", "Items in the catalogue replica", registry=registry)
        self.searchable = Gauge("upwell_serving_searchable_items", "Items in the index", registry=registry)
        self.profile_lag = Gauge(
            "upwell_serving_profile_lag_records", "Profile rows not in this copy yet", registry=registry
        )
        self.ingested = Counter("upwell_http_lines", "Lines of bulk requests", ["outcome"], registry=registry)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
