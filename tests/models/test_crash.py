from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Final

from models.sqlite import open_sqlite
from tests.models.conftest import StoppedClock

ROOT: Final = Path(__file__).parents[2]


async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, clock: StoppedClock) -> None:
    path = tmp_path / "parley.db"
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.models.writer_process", str(path), "ada", "1000000"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    try:
        acknowledged = [(await child.stdout.readline()).decode().split()[1] for _ in range(20)]
    finally:
        child.kill()  # SIGKILL, in the middle of its work
        rest, _ = await child.communicate()
    acknowledged += [line.split()[1] for line in rest.decode().splitlines(keepends=True) if line.endswith("\n")]

    stores = await open_sqlite(path, clock=clock)
    try:
        for name in acknowledged:
            user = await stores.users.by_username(name)
            assert (await stores.users.credential(name)).user_id == user.id
    finally:
        await stores.close()
