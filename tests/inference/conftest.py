"""What the tests of inference share: the real models, real clips, and brokers that are stopped whatever happens."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from inference.broker import Broker, BrokerSettings, Limits, RestartPolicy
from inference.moonshine import Moonshine
from inference.repository import ModelRepository
from inference.speech import SpeechPipeline, SpeechSettings
from inference.vad import VoiceActivity
from protocols.errors import ParleyError
from tests.servers import missing

ECHO: Final = (sys.executable, "-m", "tests.inference.echo_worker")
SETTLES_WITHIN_S: Final = 20.0
_POLL_S: Final = 0.005

QUICK: Final = RestartPolicy(start_timeout_s=20.0, stop_timeout_s=2.0, first_s=0.01, longest_s=0.1)

StartBroker = Callable[..., Awaitable[Broker]]


@dataclass(frozen=True, slots=True)
class Clip:
    """A real recording and what is said in it."""

    name: str
    data: bytes
    format: str
    text: str


async def settles(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; fail when it takes too long. Polled: other processes set no event of ours."""
    async with asyncio.timeout(SETTLES_WITHIN_S):
        while True:
            if condition():
                return
            await asyncio.sleep(_POLL_S)


@pytest.fixture
async def start_broker(tmp_path: Path) -> AsyncIterator[StartBroker]:
    """Starts brokers with the echo worker, or with what `settings` say, and stops each at the end."""
    brokers: list[Broker] = []

    async def start(
        workers: int = 1, limits: Limits | None = None, ready: bool = True, settings: BrokerSettings | None = None
    ) -> Broker:
        made = settings or echo_settings(tmp_path, workers, limits)
        broker = Broker(made, rng=random.Random(1))
        brokers.append(broker)
        await broker.start()
        if ready:
            await settles(lambda: all(worker.state == "ready" for worker in broker.statistics().workers))
        return broker

    yield start
    for broker in brokers:
        await broker.stop()


def echo_settings(
    folder: Path,
    workers: int = 1,
    limits: Limits | None = None,
    how: str = "well",
    restarts: RestartPolicy = QUICK,
) -> BrokerSettings:
    """Settings for echo workers that start in the way named."""
    return BrokerSettings(
        models_dir=folder,
        models=(how,),
        workers=workers,
        limits=limits or Limits(grace_s=0.2),
        restarts=restarts,
        drain_timeout_s=5.0,
        command=ECHO,
    )


@pytest.fixture(scope="session")
def repository(models_dir: Path) -> ModelRepository:
    """The real models."""
    found = ModelRepository(models_dir)
    try:
        for name in ("moonshine-tiny-en", "silero-vad"):
            found.find(name)
    except ParleyError as error:
        missing("a default model", error.detail)
    return found


@pytest.fixture(scope="session")
def activity(repository: ModelRepository) -> VoiceActivity:
    """Silero, loaded once."""
    return VoiceActivity(repository.find("silero-vad"))


@pytest.fixture(scope="session")
def recogniser(repository: ModelRepository) -> Moonshine:
    """Moonshine, loaded once."""
    return Moonshine(repository.find("moonshine-tiny-en"))


@pytest.fixture(scope="session")
def speech(recogniser: Moonshine, activity: VoiceActivity) -> SpeechPipeline:
    """The speech pipeline as a worker runs it."""
    return SpeechPipeline(recogniser, activity, SpeechSettings())


@pytest.fixture(scope="session")
def clips(shared: Path) -> dict[str, Clip]:
    """The English recordings of the test data, by name."""
    folder = shared / "data" / "speech"
    truth = json.loads((folder / "truth.json").read_text())
    return {
        name: Clip(name, (folder / name).read_bytes(), name.rpartition(".")[2], entry["text"])
        for name, entry in truth.items()
        if entry["lang"] == "en"
    }


@pytest.fixture(scope="session")
def jfk(clips: dict[str, Clip]) -> Clip:
    """Eleven seconds of a president."""
    return clips["jfk.flac"]


@pytest.fixture(scope="session")
def two_cities(repository: ModelRepository) -> Clip:
    """The recording that comes with the speech model: 44 s, read aloud."""
    text = (
        "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of"
        " foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of light, it"
        " was the season of darkness, it was the spring of hope, it was the winter of despair, we had everything"
        " before us, we had nothing before us, we were all going direct to heaven, we were all going direct the"
        " other way. In short, the period was so far like the present period that some of its noisiest authorities"
        " insisted on its being received, for good or for evil, in the superlative degree of comparison only."
    )
    return Clip("two_cities.wav", repository.clip("moonshine-tiny-en").read_bytes(), "wav", text)
