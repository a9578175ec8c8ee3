"""Whether the node can do its work: one named check a dependency, run side by side, each with a time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

import structlog
from msgspec import Meta

from protocols.errors import ParleyError
from protocols.http import Given

log = structlog.get_logger("parley.gateway")

Probe = Callable[[], Awaitable[str]]
"""Returns a few words on how the dependency is; raises when it is not there."""


class Check(Given, frozen=True, kw_only=True):
    """One thing that the node depends on. The node is ready without those that are not `required`."""

    name: str
    ok: bool
    required: bool
    detail: str
    took_ms: float


class ReadinessReport(Given, frozen=True, kw_only=True):
    """How the node is, dependency by dependency."""

    status: Annotated[str, Meta(description="`ready`, `not_ready` or `draining`")]
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class _Named:
    name: str
    probe: Probe
    required: bool


class Readiness:
    """The checks of a node. `draining` once it has begun to stop, whatever the checks say."""

    def __init__(self, *, timeout_s: float = 2.0) -> None:
        self._timeout_s = timeout_s
        self._checks: list[_Named] = []
        self.draining = False

    def add(self, name: str, probe: Probe, *, required: bool = True) -> None:
        """Watch one more dependency."""
        self._checks.append(_Named(name, probe, required))

    async def report(self) -> ReadinessReport:
        """Ask every dependency now."""
        checks = tuple(await asyncio.gather(*(self._run(each) for each in self._checks)))
        if self.draining:
            return ReadinessReport(status="draining", checks=checks)
        ready = all(check.ok for check in checks if check.required)
        return ReadinessReport(status="ready" if ready else "not_ready", checks=checks)

    async def _run(self, named: _Named) -> Check:
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._timeout_s):
                ok, detail = True, await named.probe()
        except TimeoutError:
            ok, detail = False, f"no answer within {self._timeout_s:g} s"
        except ParleyError as error:
            ok, detail = False, error.detail
        except Exception as error:
            # The page is public: the kind of failure goes out, its text only into the log.
            log.warning("readiness check failed", check=named.name, exc_info=error)
            ok, detail = False, type(error).__name__
        took_ms = round((clock() - began) * 1000, 3)
        return Check(name=named.name, ok=ok, required=named.required, detail=detail, took_ms=took_ms)
