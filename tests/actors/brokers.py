"""A broker without processes: it answers as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from inference.broker import BrokerStatistics, InferenceRequest, InferenceResult, WorkerStatistics
from protocols.ai_results import SpeechResult, SpeechSegment
from protocols.errors import ParleyError, Unavailable
from protocols.inference import ModelState

SPOKEN = SpeechResult(
    text="Ask not. What you can do.",
    confidence=0.9,
    language="en",
    no_speech=False,
    duration_ms=11_000,
    segments=(SpeechSegment(200, 4000, "Ask not.", 0.95), SpeechSegment(5000, 10_000, "What you can do.", 0.85)),
    model="moonshine-tiny-en",
    model_version="1",
)
SILENCE = SpeechResult("", 0.0, "en", True, 3000, (), "moonshine-tiny-en", "1")

_COUNTS = (
    "admitted",
    "answered",
    "failed",
    "refused",
    "expired",
    "cancelled",
    "retried",
    "poisoned",
    "stuck",
    "malformed",
    "worker_deaths",
)


class FakeBroker:
    """`answer` makes a result, or is None while requests are to wait in `waiting`."""

    def __init__(self, start_error: Exception | None = None) -> None:
        self.start_error = start_error
        self.answer: Callable[[InferenceRequest], SpeechResult | ParleyError] | None = lambda _: SPOKEN
        self.requests: list[InferenceRequest] = []
        self.waiting: list[asyncio.Future[InferenceResult]] = []
        self.running = False
        self.stops = 0
        self.tasks: tuple[str, ...] = ("speech_recognition",)
        self.broken = ""
        self.models = (ModelState("moonshine-tiny-en", "1"), ModelState("silero-vad", "6"))

    async def start(self) -> None:
        if self.start_error is not None:
            raise self.start_error
        self.running = True

    async def stop(self) -> None:
        self.running = False
        self.stops += 1
        for future in self.waiting:
            if not future.done():
                future.set_exception(Unavailable("inference is shutting down"))

    def submit(self, request: InferenceRequest) -> asyncio.Future[InferenceResult]:
        assert self.running
        self.requests.append(request)
        future: asyncio.Future[InferenceResult] = asyncio.get_running_loop().create_future()
        if self.answer is None:
            self.waiting.append(future)
            return future
        result = self.answer(request)
        if isinstance(result, ParleyError):
            future.set_exception(result)
        else:
            future.set_result(InferenceResult(result, 1.0, 2.0))
        return future

    def statistics(self) -> BrokerStatistics:
        worker = WorkerStatistics(0, 4711, "ready" if self.tasks else "starting", 1, 1, 5.0, "", self.models)
        nothing = dict.fromkeys(_COUNTS, 0)
        return BrokerStatistics(
            queued=2, in_flight=1, broken=self.broken, tasks=self.tasks, workers=(worker,), **nothing
        )
