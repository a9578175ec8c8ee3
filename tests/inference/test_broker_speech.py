"""The broker with real workers and real speech, kill -9 included."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from inference.broker import BrokerSettings, InferenceRequest, Limits
from inference.repository import ModelRepository
from protocols.ai_results import SpeechResult
from protocols.errors import DeadlineExceeded, InvalidArgument, Unimplemented
from protocols.inference import AudioParams
from tests.inference.conftest import QUICK, Clip, StartBroker, settles
from tests.inference.measures import words

pytestmark = pytest.mark.models


def request(clip: Clip, timeout_s: float = 50.0, language: str = "en") -> InferenceRequest:
    params = AudioParams(clip.format, language=language)
    return InferenceRequest("speech_recognition", [clip.data], params, timeout_s=timeout_s)


def settings(repository: ModelRepository, workers: int = 1) -> BrokerSettings:
    return BrokerSettings(models_dir=repository.folder, workers=workers, limits=Limits(grace_s=5.0), restarts=QUICK)


async def test_a_clip_becomes_its_text(start_broker: StartBroker, repository: ModelRepository, jfk: Clip) -> None:
    broker = await start_broker(settings=settings(repository))
    result = await broker.submit(request(jfk))
    assert isinstance(result.value, SpeechResult)
    assert words(result.value.text) == words(jfk.text)
    assert result.compute_ms > 0
    assert broker.statistics().tasks == ("speech_recognition",)


async def test_a_worker_finds_the_package_from_any_folder(
    start_broker: StartBroker, repository: ModelRepository, jfk: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inference").mkdir()
    (tmp_path / "inference" / "__init__.py").write_text("raise ImportError('the wrong package')")
    here = settings(ModelRepository(repository.folder.resolve()))
    monkeypatch.chdir(tmp_path)
    broker = await start_broker(settings=here)
    assert isinstance((await broker.submit(request(jfk))).value, SpeechResult)


async def test_kill_9_in_the_middle_of_speech_loses_nothing(
    start_broker: StartBroker, repository: ModelRepository, clips: dict[str, Clip]
) -> None:
    broker = await start_broker(settings=settings(repository, workers=2))
    asked = [clip for _ in range(3) for clip in clips.values()]
    answers = [broker.submit(request(clip)) for clip in asked]
    busy = [worker.pid for worker in broker.statistics().workers if worker.in_flight]
    os.kill(busy[0], signal.SIGKILL)
    results = await asyncio.gather(*answers)
    texts = {(clip.name, getattr(result.value, "text", None)) for clip, result in zip(asked, results, strict=True)}
    assert len(texts) == len(clips)  # the same clip, the same text, whoever heard it
    statistics = broker.statistics()
    assert statistics.worker_deaths == 1
    assert statistics.retried >= 1
    await settles(lambda: all(worker.state == "ready" for worker in broker.statistics().workers))


async def test_bad_requests_are_refused_and_the_worker_lives(
    start_broker: StartBroker, repository: ModelRepository, jfk: Clip
) -> None:
    broker = await start_broker(settings=settings(repository))
    with pytest.raises(InvalidArgument):
        await broker.submit(InferenceRequest("speech_recognition", [b""], AudioParams("wav")))
    with pytest.raises(Unimplemented, match="zh-CN"):
        await broker.submit(request(jfk, language="zh-CN"))
    with pytest.raises(Unimplemented, match="emotion_detection"):
        await broker.submit(InferenceRequest("emotion_detection", [b"x"]))
    with pytest.raises(DeadlineExceeded):
        await broker.submit(request(jfk, timeout_s=0.02))
    assert isinstance((await broker.submit(request(jfk))).value, SpeechResult)
    assert broker.statistics().worker_deaths == 0


async def test_without_models_the_answer_says_what_to_do_and_after_a_pull_it_works(
    start_broker: StartBroker, repository: ModelRepository, tmp_path: Path, jfk: Clip
) -> None:
    broker = await start_broker(settings=settings(ModelRepository(tmp_path)))
    with pytest.raises(Unimplemented, match=r"python -m inference\.repository pull moonshine-tiny-en"):
        await broker.submit(request(jfk))
    errors = [model.error for model in broker.statistics().workers[0].models]
    assert len(errors) == 2
    assert all("pull" in error for error in errors)
    for name in ("moonshine-tiny-en", "silero-vad"):
        (tmp_path / name).symlink_to((repository.folder / name).resolve())
    assert isinstance((await broker.submit(request(jfk))).value, SpeechResult)
    await settles(lambda: broker.statistics().tasks == ("speech_recognition",))
