"""The pipelines of one worker: which models it was told to serve, which of them are loaded, and who takes a request.

A model that is missing is no reason to stay down: its requests are answered UNIMPLEMENTED with what to do, and once
the model has been pulled the next request finds it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from inference.moonshine import Moonshine
from inference.pipeline import Pipeline
from inference.repository import InstalledModel, ModelRepository
from inference.speech import SpeechPipeline, SpeechSettings
from inference.vad import VoiceActivity
from protocols.errors import ParleyError, Unimplemented
from protocols.inference import ModelState

log = logging.getLogger(__name__)


class ModelPipelines:
    """Loads models by name, each with what it needs, and keeps them."""

    def __init__(
        self,
        repository: ModelRepository,
        names: Sequence[str],
        speech: SpeechSettings,
        threads: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repository = repository
        self._names = tuple(names)
        self._speech = speech
        self._threads = threads
        self._clock = clock
        self._loaded: dict[str, Pipeline] = {}
        self._states: dict[str, ModelState] = {}
        self._activity: VoiceActivity | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that can be done now."""
        return tuple({pipeline.task: None for pipeline in self._loaded.values()})

    @property
    def states(self) -> tuple[ModelState, ...]:
        """Every model that was asked for, loaded or with its error."""
        return tuple(self._states.values())

    def load(self) -> None:
        """Load and warm up what is not loaded yet; a model that fails is noted in `states`, and the rest goes on."""
        for name in self._names:
            if self._states.get(name, ModelState(name, error="new")).error:
                self._load(name)

    def choose(self, task: str, model: str) -> Pipeline:
        """Who does this task, by the model named or by the first that can. Raises Unimplemented with what to do."""
        found = self._find(task, model)
        if found is None and any(state.error for state in self._states.values()):
            self.load()
            found = self._find(task, model)
        if found is None:
            raise Unimplemented(self._why_not(task, model))
        return found

    def _find(self, task: str, model: str) -> Pipeline | None:
        for name, pipeline in self._loaded.items():
            if pipeline.task == task and model in ("", name):
                return pipeline
        return None

    def _why_not(self, task: str, model: str) -> str:
        errors = [state.error for state in self._states.values() if state.error]
        wanted = f"{task} with the model {model!r}" if model else task
        return f"{wanted} cannot be done here: {'; '.join(errors) or 'no model that is loaded does it'}"

    def _load(self, name: str) -> None:
        start = self._clock()
        try:
            model = self._repository.find(name)
            self._open(model)
        except ParleyError as error:
            if self._states.get(name, ModelState(name)).error != error.detail:
                log.warning("model %s is not loaded: %s", name, error.detail)
            self._states[name] = ModelState(name, error=error.detail)
            return
        load_ms = (self._clock() - start) * 1000
        self._states[name] = ModelState(name, model.config.version, load_ms)
        log.info("model %s %s loaded in %.0f ms", name, model.config.version, load_ms)

    def _open(self, model: InstalledModel) -> None:
        if model.config.family == "moonshine":
            pipeline = SpeechPipeline(Moonshine(model, self._threads), self._voice_activity(), self._speech)
            pipeline.warm_up()
            self._loaded[model.config.name] = pipeline
        elif model.config.family == "silero":
            self._voice_activity()
        else:
            raise Unimplemented(f"no pipeline here runs models of the family {model.config.family!r}")

    def _voice_activity(self) -> VoiceActivity:
        if self._activity is None:
            self._activity = VoiceActivity(self._repository.find("silero-vad"), self._threads)
        return self._activity
