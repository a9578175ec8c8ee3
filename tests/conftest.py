"""What every test gets: an event loop of the kind that the node runs on, and a look for what it leaves behind.

Settings of the machine do not reach the tests: of the `PARLEY_` variables only those listed here pass.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Final

import hypothesis
import pytest
import structlog
import uvloop

from tests import servers
from tests.processes import RUN_VARIABLE, children, kill, of_run, settles

_PASSED_ON: Final = {"PARLEY_SHARED", "PARLEY_REQUIRE_ALL", "PARLEY_MODEL_DIR", "PARLEY_TEST_LOOP", "PARLEY_PYTHON"}
_LEAVE_WITHIN_S: Final = 2.0
"""How long a task or a process that is ending anyway may take to end after its test."""

_LOOPS: Final[Mapping[str, Callable[[], asyncio.AbstractEventLoop]]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}

hypothesis.settings.register_profile("parley", deadline=None, print_blob=True)
hypothesis.settings.load_profile("parley")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--loop",
        choices=[*_LOOPS, "both"],
        default=os.environ.get("PARLEY_TEST_LOOP", "uvloop"),
        help="event loop of the async tests (or PARLEY_TEST_LOOP); both: every async test runs twice",
    )


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    marker = item.get_closest_marker("asyncio")
    chosen = config.getoption("--loop")
    if chosen == "both" or (marker is not None and "loop_factories" in marker.kwargs):
        return _LOOPS
    return {chosen: _LOOPS[chosen]}


def pytest_configure(config: pytest.Config) -> None:
    for name in [name for name in os.environ if name.startswith("PARLEY_") and name not in _PASSED_ON]:
        del os.environ[name]
    os.environ[RUN_VARIABLE] = uuid.uuid4().hex
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # for the tests that run a model in this very process
    # Through the standard library, so that a failed test shows the log and `caplog` sees it.
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("asyncio") is not None:
            # First in, so last out: after every other fixture has ended what it began, while the loop is still there.
            names = item.fixturenames
            if "_no_task_left" not in names:
                names.insert(0, "_no_task_left")


@pytest.fixture
async def _no_task_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=_LEAVE_WITHIN_S)
    if left:
        pytest.fail("tasks left behind:\n" + "\n".join(sorted(repr(task) for task in left)), pytrace=False)


@pytest.fixture(autouse=True)
def _no_process_left() -> Iterator[None]:
    """Fixtures of a wider scope start theirs before this one looks, so they are not held against the test."""
    before = children().keys()
    yield
    if not settles(lambda: children().keys() <= before, _LEAVE_WITHIN_S):
        left = [one for pid, one in children().items() if pid not in before]
        for one in left:
            kill(one.pid)
        if left:
            pytest.fail("processes left behind:\n" + "\n".join(map(str, left)), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for server in sorted(servers.running, key=lambda one: one.name):
            report.sections.append((f"log of {server.name}, {server.log_file}", server.log_tail))
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    run_id = os.environ[RUN_VARIABLE]
    if settles(lambda: not of_run(run_id), _LEAVE_WITHIN_S):
        return
    left = of_run(run_id)
    for pid in left:
        kill(pid)
    if left:
        lines = "\n".join(map(str, left.values()))
        session.config.get_terminal_writer().line(f"\nprocesses left behind by the run, now killed:\n{lines}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def shared() -> Path:
    """Test data that the repository does not hold: the folder PARLEY_SHARED, by default `shared` beside the clone."""
    folder = Path(os.environ.get("PARLEY_SHARED", servers.ROOT.parent / "shared"))
    if not folder.is_dir():
        servers.missing(f"the folder of test data ({folder})", "name it in PARLEY_SHARED")
    return folder


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The model repository of the clone, or the one that PARLEY_MODEL_DIR names, with at least one model in it."""
    folder = Path(os.environ.get("PARLEY_MODEL_DIR", servers.ROOT / "var" / "models"))
    if not folder.is_dir() or not any(folder.iterdir()):
        servers.missing(f"the model repository ({folder})", "`make models` fetches the default models")
    return folder
