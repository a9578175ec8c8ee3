"""The AI over HTTP: recognise a clip now, and read what the AI found in a meeting."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from protocols import http
from protocols.ai import RecogniseSpeech, SpeechRecognised, Task
from protocols.errors import Code, FieldFault, InvalidArgument, Unimplemented
from protocols.meetings import AnalysisPage, AnalysisView, GetAnalyses
from runtime.gateway.call import Call
from runtime.gateway.route import API, Route


async def recognise_speech(call: Call, sent: http.SpeechClip) -> SpeechRecognised:
    """Recognise speech in a clip of a meeting that goes on; the text goes to the meeting's transcript as well."""
    call.check_owner(sent.user_id)
    if sent.format == "pcm" and sent.sample_rate is None:
        fault = FieldFault("sample_rate", "is required when format is pcm")
        raise InvalidArgument("the body does not fit: see `errors`", faults=[fault])
    message = RecogniseSpeech(
        actor_id=call.user.user_id,
        meeting_id=sent.meeting_id,
        audio=sent.audio_data,
        format=sent.format,
        sample_rate=sent.sample_rate or 0,
        channels=sent.channels,
        language=sent.language,
    )
    return await call.ask(SpeechRecognised, "analysis", call.new_id(), message)


async def detect_emotion(call: Call, sent: http.Picture) -> None:
    """Which emotion a face shows."""
    _refuse_picture(call, sent, Task.EMOTION_DETECTION)


async def detect_deepfake(call: Call, sent: http.Picture) -> None:
    """Whether a face was swapped."""
    _refuse_picture(call, sent, Task.DEEPFAKE_DETECTION)


async def get_analyses(call: Call, sent: http.Page) -> http.AnalysisList:
    """What the AI found in a meeting, oldest first."""
    message = GetAnalyses(call.user.user_id, sent.cursor, sent.limit)
    page = await call.ask(AnalysisPage, "meeting", call.number("meeting_id"), message)
    return http.AnalysisList(items=tuple(map(_analysis, page.items)), next_cursor=page.next_cursor)


def _refuse_picture(call: Call, sent: http.Picture, task: Task) -> None:
    call.check_owner(sent.user_id)
    raise Unimplemented(f"this node has no model for {task.value}: it does {Task.SPEECH_RECOGNITION.value} only")


def _analysis(view: AnalysisView) -> http.Analysis:
    return http.Analysis(
        task_id=view.task_id,
        meeting_id=view.meeting_id,
        user_id=view.user_id,
        result_type=view.result_type,
        result=msgspec.json.decode(view.result),
        confidence=view.confidence,
        created_at=view.created_at,
    )


_ASKED: Final = (Code.NOT_FOUND, Code.PERMISSION_DENIED, Code.FAILED_PRECONDITION, Code.UNIMPLEMENTED)

ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        "POST",
        f"{API}/ai/speech-recognition",
        recognise_speech,
        http.SpeechClip,
        http.Recognition,
        "Recognise speech",
        "ai",
        upload=True,
        refuses=_ASKED,
        slow=True,
    ),
    Route(
        "POST",
        f"{API}/ai/emotion-detection",
        detect_emotion,
        http.Picture,
        None,
        "Detect an emotion",
        "ai",
        204,
        upload=True,
        refuses=_ASKED,
    ),
    Route(
        "POST",
        f"{API}/ai/deepfake-detection",
        detect_deepfake,
        http.Picture,
        None,
        "Detect a deepfake",
        "ai",
        204,
        upload=True,
        refuses=_ASKED,
    ),
    Route(
        "GET",
        f"{API}/ai/analysis/{{meeting_id}}",
        get_analyses,
        http.Page,
        http.AnalysisList,
        "What the AI found in a meeting",
        "ai",
        refuses=(Code.NOT_FOUND, Code.PERMISSION_DENIED),
    ),
)
