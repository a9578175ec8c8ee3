"""What the tests of actors share: a world with every kind defined."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.passwords import PasswordHasher
from models.sqlite import open_sqlite
from runtime.engine import ActorSystem
from tests.actors.world import CHEAP, SkippingClock, World


@pytest.fixture
async def bare_world(tmp_path: Path) -> AsyncIterator[World]:
    """A node that carries no kind yet."""
    clock = SkippingClock(asyncio.get_running_loop())
    stores = await open_sqlite(tmp_path / "parley.db", clock=clock.now)
    hasher = PasswordHasher(threads=2, max_waiting=16, cost=CHEAP)
    system = ActorSystem(clock=clock, rng=random.Random(1))
    try:
        yield World(system, stores, clock, hasher)
    finally:
        await system.stop()
        await hasher.close()
        await stores.close()


@pytest.fixture
async def world(bare_world: World) -> World:
    """A node that carries every kind, and no models."""
    bare_world.define()
    return bare_world
