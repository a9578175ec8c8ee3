"""Speech recognition from payload to result: decode, find the speech, recognise chunk by chunk, say what is doubtful.

Silence is answered as silence: where no speech is found the recogniser is never asked, since it would make words up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from inference.audio import RATE, AudioLimits, Samples, decode_audio
from inference.moonshine import Heard, Moonshine
from inference.pipeline import KeepGoing
from inference.vad import Span, VadSettings, VoiceActivity, chunks, speech_spans
from protocols.ai_results import SpeechResult, SpeechSegment
from protocols.errors import InvalidArgument, Unimplemented
from protocols.inference import AudioParams, Params, Payload

_DEFAULT_CHUNK_S: Final = 15.0
_MIN_CHUNK_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class SpeechSettings:
    """What the pipeline takes, and how it cuts. `join_gap_s`: the silence over which two spans stay one chunk."""

    limits: AudioLimits = field(default_factory=AudioLimits)
    vad: VadSettings = field(default_factory=VadSettings)
    join_gap_s: float = 1.0


class SpeechPipeline:
    """The two models together. One call at a time."""

    task: Final = "speech_recognition"

    def __init__(self, recogniser: Moonshine, activity: VoiceActivity, settings: SpeechSettings) -> None:
        self.config = recogniser.config
        self._recogniser = recogniser
        self._activity = activity
        self._settings = settings

    def run(self, payload: Sequence[Payload], params: Params, keep_going: KeepGoing) -> SpeechResult:
        """Recognise one payload frame. Raises InvalidArgument for bad audio or parameters, Unimplemented for a language
        that the model does not know, and what `keep_going` raises.
        """
        if not isinstance(params, AudioParams):
            raise InvalidArgument("speech recognition takes audio parameters")
        if len(payload) != 1:
            raise InvalidArgument(f"speech recognition takes one payload frame, not {len(payload)}")
        language = self._language(params.language)
        samples = decode_audio(
            memoryview(payload[0]), params.format, params.sample_rate, params.channels, self._settings.limits
        )
        return self.recognise(samples, language, keep_going)

    def recognise(self, samples: Samples, language: str, keep_going: KeepGoing = lambda: None) -> SpeechResult:
        """Recognise mono 16 kHz samples."""
        curve = self._activity.curve(samples)
        spans = speech_spans(curve, len(samples), self._settings.vad)
        longest_s = max(_MIN_CHUNK_S, self.config.limits.chunk_s or _DEFAULT_CHUNK_S)
        heard = [
            (chunk, self._recogniser.hear(samples[chunk.start : chunk.end], keep_going))
            for chunk in chunks(spans, curve, longest_s, self._settings.join_gap_s)
        ]
        return self._result(heard, len(samples), language)

    def warm_up(self) -> None:
        """Run once what a first request would otherwise pay for."""
        for seconds in self.config.warm_up.audio_s:
            silence = decode_audio(bytes(2 * int(seconds * RATE)))
            self._activity.curve(silence)
            self._recogniser.hear(silence)

    def _language(self, asked: str) -> str:
        """The model's language for what was asked (`en-US` is `en`); nothing asked is the model's first."""
        known = self.config.languages
        bare = asked.replace("_", "-").partition("-")[0].lower()
        if not bare or bare == "auto":
            return known[0] if known else ""
        if bare not in known:
            raise Unimplemented(
                f"the model {self.config.name} does not know the language {asked!r}; it knows: {', '.join(known)}"
            )
        return bare

    def _result(self, heard: Sequence[tuple[Span, Heard]], total: int, language: str) -> SpeechResult:
        worded = [(chunk, one) for chunk, one in heard if one.text]
        steps = sum(one.steps for _, one in worded)
        log_probability = math.fsum(one.log_probability for _, one in worded)
        return SpeechResult(
            text=" ".join(one.text for _, one in worded),
            confidence=round(math.exp(log_probability / steps), 4) if steps else 0.0,
            language=language,
            no_speech=not worded,
            duration_ms=_ms(total),
            segments=tuple(
                SpeechSegment(_ms(chunk.start), _ms(chunk.end), one.text, round(one.confidence, 4))
                for chunk, one in worded
            ),
            model=self.config.name,
            model_version=self.config.version,
            warnings=tuple(_warnings(worded)),
        )


def _warnings(heard: Sequence[tuple[Span, Heard]]) -> list[str]:
    said = []
    for chunk, one in heard:
        if one.looped:
            said.append(f"from {_ms(chunk.start)} ms: the model repeated itself; one round is kept")
        if one.cut:
            said.append(f"from {_ms(chunk.start)} ms: more words than the time allows; the text may be wrong")
    return said


def _ms(samples: int) -> int:
    return samples * 1000 // RATE
