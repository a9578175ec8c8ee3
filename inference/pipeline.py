"""What a worker's loop asks of the work behind it: the contracts alone, so that the loop loads without model code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from protocols.inference import ModelState, Params, Payload, ResultValue

KeepGoing = Callable[[], None]
"""Called between steps of the work; it raises to end the work early (the deadline passed, nobody waits)."""


class Pipeline(Protocol):
    """One task done by one model (and what that model needs)."""

    @property
    def task(self) -> str:
        """The task's wire name."""
        ...

    def run(self, payload: Sequence[Payload], params: Params, keep_going: KeepGoing) -> ResultValue:
        """Do one item. Raises a ParleyError where the input is at fault, and what `keep_going` raises."""
        ...


class Pipelines(Protocol):
    """All that one worker can do."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that can be done now."""
        ...

    @property
    def states(self) -> tuple[ModelState, ...]:
        """Every model that was asked for, loaded or with its error."""
        ...

    def choose(self, task: str, model: str) -> Pipeline:
        """Who does this task, by the model named or by the default. Raises Unimplemented with what to do."""
        ...
