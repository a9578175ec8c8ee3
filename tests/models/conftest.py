"""One fixture, `stores`, for every backend: a contract test names it and runs once on each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from models.sqlite import open_sqlite
from models.stores import Stores
from tests.models.samples import NOON


class StoppedClock:
    """A clock that moves when it is told to."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def __call__(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


async def _sqlite(folder: Path, clock: StoppedClock) -> Stores:
    return await open_sqlite(folder / "parley.db", clock=clock)


BACKENDS: Final[dict[str, Callable[[Path, StoppedClock], Awaitable[Stores]]]] = {"sqlite": _sqlite}


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(NOON)


@pytest.fixture(params=BACKENDS)
async def stores(request: pytest.FixtureRequest, tmp_path: Path, clock: StoppedClock) -> AsyncIterator[Stores]:
    opened = await BACKENDS[request.param](tmp_path, clock)
    try:
        yield opened
    finally:
        await opened.close()
