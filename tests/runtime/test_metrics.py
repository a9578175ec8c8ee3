"""Metrics: read at scrape time, one registry a node, labels without bound kept out."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from runtime import __version__
from runtime.engine import Actor, ActorSystem, HandlerFailed
from runtime.metrics import Metrics


class Clerk(Actor):
    """Answers numbers, breaks on anything else."""

    def receive(self, message: object) -> int:
        if not isinstance(message, int):
            raise TypeError("no number")
        return message


def scraped(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    page, content_type = metrics.render()
    assert content_type.startswith("text/plain")
    families = text_string_to_metric_families(page.decode())
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return scraped(metrics).get((name, frozenset(labels.items())))


def test_build_and_process_are_there() -> None:
    metrics = Metrics(node="north")
    assert value(metrics, "parley_build", node="north", version=__version__) == 1
    assert value(metrics, "process_start_time_seconds")


def test_two_nodes_in_one_process_do_not_mix() -> None:
    north, south = Metrics(node="north"), Metrics(node="south")
    north.request_answered("GET", "/livez", 200, 0.001)
    assert value(north, "parley_http_requests_total", method="GET", route="/livez", status="200") == 1
    assert value(south, "parley_http_requests_total", method="GET", route="/livez", status="200") is None


def test_requests_count_by_template_and_fall_into_buckets() -> None:
    metrics = Metrics(node="north")
    for seconds in (0.0015, 0.03, 40.0):
        metrics.request_answered("GET", "/api/v1/meetings/{id}", 200, seconds)
    metrics.request_answered("BREW", "/api/v1/meetings/{id}", 405, 0.001)
    where = {"method": "GET", "route": "/api/v1/meetings/{id}"}
    assert value(metrics, "parley_http_request_seconds_bucket", le="0.002", **where) == 1
    assert value(metrics, "parley_http_request_seconds_bucket", le="0.05", **where) == 2
    assert value(metrics, "parley_http_request_seconds_bucket", le="+Inf", **where) == 3
    assert value(metrics, "parley_http_requests_total", method="other", route=where["route"], status="405") == 1


async def test_the_engine_is_read_at_each_scrape() -> None:
    system = ActorSystem()
    metrics = Metrics(node="north")
    metrics.observe_engine(system.statistics)
    clerk = system.spawn(Clerk, name="clerk")
    assert value(metrics, "parley_actors", **{"class": "Clerk"}) == 1
    assert await clerk.ask(7) == 7
    with pytest.raises(HandlerFailed):
        await clerk.ask("seven")
    await clerk.ask(8)
    assert value(metrics, "parley_messages_handled_total", **{"class": "Clerk"}) == 3
    assert value(metrics, "parley_actor_failures_total", **{"class": "Clerk"}) == 1
    assert value(metrics, "parley_dead_letters_total", reason="failed") == 1
    assert value(metrics, "parley_asks_pending") == 0
    await system.stop()
    assert value(metrics, "parley_actors", **{"class": "Clerk"}) == 0
    assert value(metrics, "parley_messages_handled_total", **{"class": "Clerk"}) == 3


def test_a_name_is_taken_once() -> None:
    metrics = Metrics(node="north")
    metrics.observe("gauge", "parley_rooms", "Rooms.", (), lambda: [((), 1)])
    with pytest.raises(ValueError, match="parley_rooms"):
        metrics.observe("gauge", "parley_rooms", "Rooms.", (), list)


def test_a_scraper_may_ask_for_openmetrics() -> None:
    page, content_type = Metrics(node="north").render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert page.endswith(b"# EOF\n")
