"""What the domain leaves to the task queue: handing it over, and doing it when its turn comes.

A task may run twice (after a crash, or a lost lease), so doing it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, Protocol

import structlog

from models.records import LoginRecord
from models.stores import LoginStore
from protocols.errors import InvalidArgument, ParleyError
from protocols.tasks import UserLogin
from runtime.queue import Handlers, TaskContext, Unprocessable

log: Final = structlog.get_logger("parley.errands")


class Tasks(Protocol):
    """Where tasks are put."""

    def enqueue(self, payload: object) -> Awaitable[object]:
        """Keep a task until it is done: when this returns, it will be. Raises ParleyErrors."""
        ...


async def entrust(tasks: Tasks, payload: object) -> bool:
    """Hand over what must not hold up or fail its cause. Where that fails: False, and a log entry."""
    try:
        await tasks.enqueue(payload)
    except ParleyError as error:
        log.error("task lost", task=type(payload).__name__, reason=error.detail)
        return False
    return True


def handle(handlers: Handlers, logins: LoginStore) -> None:
    """Register what this node does of the domain's tasks."""

    async def write_login(task: UserLogin, context: TaskContext) -> None:
        try:
            record = LoginRecord(task.user_id, task.username, task.ip_address, task.login_time)
        except InvalidArgument as error:
            raise Unprocessable(error.detail) from error
        await logins.append(record)

    handlers.add(UserLogin, write_login)
