"""The AI: clips go to an analysis of their own, and only in one's own name."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from protocols.ai import RecogniseSpeech, SpeechRecognised
from protocols.ai_results import SpeechSegment
from protocols.errors import ResourceExhausted
from protocols.meetings import AnalysisPage, AnalysisView, GetAnalyses
from runtime.gateway import GatewayLimits
from tests.runtime.gateway.harness import WHEN, Edge, running

SPEECH = "/api/v1/ai/speech-recognition"
AUDIO = bytes(range(256)) * 10
CLIP: dict[str, Any] = {"audio_data": base64.b64encode(AUDIO).decode(), "meeting_id": 5, "sample_rate": 16000}
HEARD = SpeechRecognised(
    task_id="t1",
    text="hello",
    confidence=0.75,
    language="en",
    duration_ms=80,
    latency_ms=12.5,
    model="tiny",
    speech=True,
    segments=(SpeechSegment(0, 80, "hello", 0.75),),
)


async def test_speech(edge: Edge) -> None:
    edge.behind.answers[RecogniseSpeech] = HEARD
    sent = {**CLIP, "user_id": 7, "format": "pcm", "channels": 2, "language": "zh-CN"}
    first = await edge.send("POST", SPEECH, json=sent)
    await edge.send("POST", SPEECH, json=CLIP)
    assert first.json == {
        "task_id": "t1",
        "text": "hello",
        "confidence": 0.75,
        "language": "en",
        "duration_ms": 80,
        "latency_ms": 12.5,
        "model": "tiny",
        "speech": True,
        "segments": [{"start_ms": 0, "end_ms": 80, "text": "hello", "confidence": 0.75}],
    }
    (kind, task_id, message), (_, other_id, plain) = edge.behind.told
    assert (kind, len(task_id)) == ("analysis", 32)
    assert task_id != other_id
    assert message == RecogniseSpeech(7, 5, AUDIO, "pcm", 16000, 2, "zh-CN")
    assert plain == RecogniseSpeech(7, 5, AUDIO, "pcm", 16000)


async def test_a_container_needs_no_sample_rate(edge: Edge) -> None:
    edge.behind.answers[RecogniseSpeech] = HEARD
    sent = {"audio_data": CLIP["audio_data"], "meeting_id": 5, "format": "wav"}
    answer = await edge.send("POST", SPEECH, json=sent)
    assert answer.status == 200


@pytest.mark.parametrize("path", [SPEECH, "/api/v1/ai/emotion-detection", "/api/v1/ai/deepfake-detection"])
async def test_nobody_speaks_for_another(edge: Edge, path: str) -> None:
    answer = await edge.send("POST", path, json={**CLIP, "video_frame": "AAAA", "user_id": 8})
    assert (answer.status, answer.json["code"], edge.behind.told) == (403, "PERMISSION_DENIED", [])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"audio_data": "no base64"}, "audio_data"),
        ({"audio_data": "AAA"}, "audio_data"),
        ({"audio_data": "AA\nAA"}, "audio_data"),
        ({"audio_data": "-_-_"}, "audio_data"),
        ({"audio_data": ""}, "audio_data"),
        ({"meeting_id": 0}, "meeting_id"),
        ({"meeting_id": 2**32}, "meeting_id"),
        ({"meeting_id": "5"}, "meeting_id"),
        ({"sample_rate": 1}, "sample_rate"),
        ({"sample_rate": None}, "sample_rate"),
        ({"channels": 9}, "channels"),
        ({"format": "../x"}, "format"),
        ({"language": "e n"}, "language"),
    ],
)
async def test_a_clip_is_checked(edge: Edge, change: dict[str, Any], field: str) -> None:
    answer = await edge.send("POST", SPEECH, json={**CLIP, **change})
    assert (answer.status, [fault["field"] for fault in answer.json["errors"]]) == (400, [field])
    assert edge.behind.told == []


async def test_a_clip_that_is_too_large_is_refused_unread() -> None:
    async with running(GatewayLimits(max_body_bytes=3000)) as edge:
        edge.behind.answers[RecogniseSpeech] = HEARD
        fits = await edge.send("POST", SPEECH, json={**CLIP, "audio_data": base64.b64encode(AUDIO[:2000]).decode()})
        large = await edge.send("POST", SPEECH, json=CLIP)
        assert fits.status == 200
        assert (large.status, large.json["detail"]) == (413, "the body may have at most 3000 bytes here")


async def test_a_full_queue_says_when_to_come_back(edge: Edge) -> None:
    edge.behind.answers[RecogniseSpeech] = ResourceExhausted("64 clips wait", retry_after_s=2.1)
    answer = await edge.send("POST", SPEECH, json=CLIP)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "3")


@pytest.mark.parametrize("task", ["emotion", "deepfake"])
async def test_pictures_are_checked_and_then_refused(edge: Edge, task: str) -> None:
    path = f"/api/v1/ai/{task}-detection"
    good = await edge.send("POST", path, json={"video_frame": "AAAA", "meeting_id": 5, "format": "jpeg"})
    bad = await edge.send("POST", path, json={"video_frame": "!", "meeting_id": 5})
    assert (good.status, good.json["code"]) == (501, "UNIMPLEMENTED")
    assert f"no model for {task}_detection" in good.json["detail"]
    assert (bad.status, bad.json["errors"][0]["field"]) == (400, "video_frame")


async def test_a_node_without_the_actors_says_so() -> None:
    async with running(kinds=("user",)) as edge:
        answer = await edge.send("POST", SPEECH, json=CLIP)
        assert (answer.status, answer.json["code"]) == (501, "UNIMPLEMENTED")
        assert "analysis" in answer.json["detail"]


async def test_analyses_of_a_meeting(edge: Edge) -> None:
    view = AnalysisView("t1", 5, 7, "speech_recognition", '{"text":"hi"}', 0.5, WHEN)
    edge.behind.answers[GetAnalyses] = AnalysisPage((view,), "more")
    answer = await edge.send("GET", "/api/v1/ai/analysis/5?limit=1")
    assert answer.json == {
        "items": [
            {
                "task_id": "t1",
                "meeting_id": 5,
                "user_id": 7,
                "result_type": "speech_recognition",
                "result": {"text": "hi"},
                "confidence": 0.5,
                "created_at": "2026-05-04T10:30:00Z",
            }
        ],
        "next_cursor": "more",
    }
    assert edge.behind.told == [("meeting", "5", GetAnalyses(7, "", 1))]
