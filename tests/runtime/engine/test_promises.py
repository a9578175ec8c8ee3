"""The page of promises: each test that it names exists, and its examples run."""

from __future__ import annotations

import ast
import asyncio
import re
from typing import Any

from runtime.engine import Reason
from runtime.engine.states import STATE_NAMES
from tests.servers import ROOT

PAGE = (ROOT / "runtime" / "README.md").read_text(encoding="utf-8")
FOLDERS = ("tests/runtime/engine", "tests/runtime/testkit", "tests/sim")


def existing() -> set[str]:
    """The names of all tests of the engine and the test kit."""
    return {
        node.name
        for folder in FOLDERS
        for path in (ROOT / folder).glob("test_*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"\btest_\w+", PAGE))
    assert len(named) > 100
    assert named - existing() == set()


def test_every_promise_names_its_test() -> None:
    """Each line of a list below the first heading of promises, but for two that say what a reader must know."""
    promises = PAGE[PAGE.index("## Delivery and order") :]
    items = re.split(r"\n(?= *- )", "\n".join(promises.split("```")[::2]))[1:]
    without = [item.split("\n")[0] for item in items if "test_" not in item]
    assert [line for line in without if not line.startswith(("- Every mailbox is bounded", "- An entity's own"))] == []


def test_every_reason_and_state_is_explained() -> None:
    for word in (*Reason, *STATE_NAMES):
        assert f"`{word}`" in PAGE, word


def test_the_examples_run() -> None:
    first, second = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {"__name__": __name__}
    exec(compile(first, "runtime/README.md", "exec"), names)
    asyncio.run(names["main"]())
    exec(compile(second, "runtime/README.md", "exec"), {"__name__": __name__})
