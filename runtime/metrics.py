"""Metrics of one node, in a registry of its own, for `/metrics`: what the parts count anyway, read when asked for.

A part that keeps statistics is not touched while it works: `observe` takes a function that is called at each scrape.
Only what no part keeps, the HTTP requests and their times, is counted here as it happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from runtime import __version__
from runtime.engine import SystemStatistics

Sample = tuple[tuple[str, ...], float]
"""The values of the labels, in the order of their names, and the figure."""

Read = Callable[[], Iterable[Sample]]

HTTP_BUCKETS_S: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _Observed(Collector):
    """One metric whose samples come from a function at scrape time."""

    def __init__(
        self,
        kind: type[GaugeMetricFamily | CounterMetricFamily],
        name: str,
        text: str,
        labels: tuple[str, ...],
        read: Read,
    ) -> None:
        self._kind, self._name, self._text, self._labels, self._read = kind, name, text, labels, read

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        family = self._kind(self._name, self._text, labels=self._labels)
        for labels, value in self._read():
            family.add_metric(labels, value)
        yield family

    def describe(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """The bare name: registering must not read a part that is still starting."""
        yield self._kind(self._name, self._text, labels=self._labels)


_OF_CLASSES: Final[tuple[tuple[type[GaugeMetricFamily | CounterMetricFamily], str, str, str], ...]] = (
    (GaugeMetricFamily, "parley_actors", "Actors alive, by class.", "actors"),
    (GaugeMetricFamily, "parley_mailbox_messages", "Messages waiting.", "mailbox"),
    (CounterMetricFamily, "parley_messages_handled", "Messages handled.", "handled"),
    (CounterMetricFamily, "parley_actor_failures", "Handlers that broke.", "failures"),
    (CounterMetricFamily, "parley_actor_restarts", "Restarts by supervisors.", "restarts"),
)
_OF_THE_SYSTEM: Final[tuple[tuple[type[GaugeMetricFamily | CounterMetricFamily], str, str, str], ...]] = (
    (GaugeMetricFamily, "parley_asks_pending", "Asks that wait for their answer.", "asks_pending"),
    (CounterMetricFamily, "parley_asks_expired", "Asks whose time limit passed.", "asks_expired"),
    (GaugeMetricFamily, "parley_handlers_busy", "Handlers that are being awaited.", "busy_handlers"),
    (CounterMetricFamily, "parley_handlers_hung", "Handlers that ran past their limit.", "hung_handlers"),
    (GaugeMetricFamily, "parley_mailbox_deepest", "Messages in the fullest mailbox.", "deepest_mailbox"),
)


class _Engine(Collector):
    """The engine's figures. The tree of actors is walked once a scrape, for all of them together."""

    def __init__(self, statistics: Callable[[], SystemStatistics]) -> None:
        self._statistics = statistics

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        now = self._statistics()
        for kind, name, text, field in _OF_CLASSES:
            family = kind(name, text, labels=("class",))
            for of_class, figures in now.classes.items():
                family.add_metric((of_class,), getattr(figures, field))
            yield family
        for kind, name, text, field in _OF_THE_SYSTEM:
            yield kind(name, text, value=getattr(now, field))
        letters = CounterMetricFamily("parley_dead_letters", "Messages that were not handled.", labels=("reason",))
        for reason, count in now.dead_letters.items():
            letters.add_metric((reason,), count)
        yield letters

    def describe(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """The bare names."""
        for kind, name, text, _ in (*_OF_CLASSES, *_OF_THE_SYSTEM):
            yield kind(name, text)
        yield CounterMetricFamily("parley_dead_letters", "Messages that were not handled.")


class Metrics:
    """The registry of one node. All names begin with `parley_`, but those of the process that every tool knows."""

    def __init__(self, *, node: str) -> None:
        self.registry: Final = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.observe(
            "gauge",
            "parley_build",
            "This node and its version.",
            ("node", "version"),
            lambda: [((node, __version__), 1)],
        )
        self._requests = Counter(
            "parley_http_requests", "HTTP requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "parley_http_request_seconds",
            "From the request's head to the end of its answer.",
            ("method", "route"),
            buckets=HTTP_BUCKETS_S,
            registry=self.registry,
        )
        self._answered: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def request_answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one HTTP request. `route` is its template (`/api/v1/meetings/{id}`), never the path asked for."""
        key = method if method in _METHODS else "other", route, status
        found = self._answered.get(key)
        if found is None:
            # Looked up once: finding a child by its labels costs more than counting.
            found = self._answered[key] = (
                self._requests.labels(key[0], route, str(status)),
                self._seconds.labels(key[0], route),
            )
        count, histogram = found
        count.inc()
        histogram.observe(seconds)

    def observe(
        self, kind: Literal["gauge", "counter"], name: str, text: str, labels: tuple[str, ...], read: Read
    ) -> None:
        """Add a metric whose samples `read` gives at each scrape, on the thread that renders.

        Raises ValueError if the name is taken.
        """
        family = GaugeMetricFamily if kind == "gauge" else CounterMetricFamily
        self.registry.register(_Observed(family, name, text, labels, read))

    def observe_engine(self, statistics: Callable[[], SystemStatistics]) -> None:
        """Add the engine's figures, from what `statistics` returns at each scrape."""
        self.registry.register(_Engine(statistics))

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The page for a scraper that sent this `Accept` header, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
