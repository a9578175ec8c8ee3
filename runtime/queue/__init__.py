"""The task queue: what was accepted is done at least once, or is a dead letter with its reason. See README.md."""

from runtime.queue.handlers import Handlers, TaskContext, Unprocessable
from runtime.queue.limits import QueueLimits
from runtime.queue.opening import open_queue
from runtime.queue.producer import Enqueued, ProducerSettings, Queue
from runtime.queue.task_queue import Cancellation, DeadLetter, Depths, Moved, State, TaskQueue, TaskStatus
from runtime.queue.worker import QueueWorker
from runtime.queue.worker_messages import GetWorkerStatistics, WorkerStatistics
from runtime.queue.worker_settings import WorkerSettings

__all__ = [
    "Cancellation",
    "DeadLetter",
    "Depths",
    "Enqueued",
    "GetWorkerStatistics",
    "Handlers",
    "Moved",
    "ProducerSettings",
    "Queue",
    "QueueLimits",
    "QueueWorker",
    "State",
    "TaskContext",
    "TaskQueue",
    "TaskStatus",
    "Unprocessable",
    "WorkerSettings",
    "WorkerStatistics",
    "open_queue",
]
