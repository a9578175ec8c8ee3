"""`analysis/{task_id}`: carries one AI request through, then goes.

The result is published before it is answered: once it is in the topics' journal, the meeting side will store it even
if it is away now, and the answer does not wait for that. A clip in which nobody speaks is a result too: it is published
with an empty text, kept as an analysis, and adds no line to the transcript.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from actors.news import Topics
from protocols.ai import InferenceDone, RecogniseSpeech, RunInference, SpeechRecognised, Task
from protocols.ai_results import SpeechResult
from protocols.errors import FailedPrecondition, Internal, PermissionDenied
from protocols.events import SpeechRecognitionCompleted
from protocols.inference import AudioParams
from protocols.meetings import Access, CheckAccess
from runtime.engine import Actor, Options, on

OPTIONS: Final = Options(handler_limit_s=150.0)
"""Of the kind `analysis`: it waits for the models, and that is not hanging."""


@dataclass(frozen=True, slots=True)
class AnalysisDeps:
    """What an analysis needs. The kinds `meeting` and `shard` must be carried too.

    `within_s`: how long the models may take at most; the asker's own deadline counts if it is nearer.
    """

    topics: Topics
    within_s: float = 120.0


class Analysis(Actor):
    """One request."""

    def __init__(self, _task_id: str, deps: AnalysisDeps) -> None:
        self._deps = deps

    @on(RecogniseSpeech)
    async def recognise(self, message: RecogniseSpeech) -> SpeechRecognised:
        """Recognise speech."""
        try:
            return await self._recognise(message)
        finally:
            self.stop()

    async def _recognise(self, message: RecogniseSpeech) -> SpeechRecognised:
        received_at, began = self.system.clock.now(), self.system.clock.time()
        await self._check(message)
        result = await self._run(message)
        latency_ms = (self.system.clock.time() - began) * 1000
        event = SpeechRecognitionCompleted(
            task_id=self.id,
            meeting_id=message.meeting_id,
            user_id=message.actor_id,
            text=result.text,
            confidence=result.confidence,
            language=result.language,
            duration=result.duration_ms,
            latency=latency_ms,
            timestamp=received_at,
            segments=result.segments,
        )
        await self._deps.topics.publish(event)
        return SpeechRecognised(
            task_id=self.id,
            text=result.text,
            confidence=result.confidence,
            language=result.language,
            duration_ms=result.duration_ms,
            latency_ms=latency_ms,
            model=f"{result.model} {result.model_version}".strip(),
            speech=not result.no_speech,
            segments=result.segments,
        )

    async def _check(self, message: RecogniseSpeech) -> None:
        meeting = self.system.entity("meeting", str(message.meeting_id))
        access: Access = await self.ask(meeting, CheckAccess(message.actor_id))
        if not access.granted:
            raise PermissionDenied(access.reason)
        if not access.live:
            raise FailedPrecondition("the meeting is not going on")
        if not access.enable_ai:
            raise FailedPrecondition("the meeting has its AI turned off")

    async def _run(self, message: RecogniseSpeech) -> SpeechResult:
        shard = self.system.entity("shard", Task.SPEECH_RECOGNITION.value)
        params = AudioParams(message.format, message.sample_rate, message.channels, message.language)
        done: InferenceDone = await self.ask(shard, RunInference(message.audio, params), self._deps.within_s)
        if not isinstance(done.value, SpeechResult):
            raise Internal("the model's answer is not one to this question")
        return done.value
