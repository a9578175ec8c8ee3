"""Moonshine speech recognition: one chunk of audio in, its tokens and their probabilities out, by greedy decoding.

An encoder reads the raw samples once; the decoder then makes one token a step from a cache of keys and values. The
encoder's part of that cache is computed in the first step and kept; later steps ask for the decoder's part alone.
(Jeffries et al., Moonshine: Speech Recognition for Live Transcription and Voice Commands, arXiv:2410.15608.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from inference.audio import RATE, Samples
from inference.onnx_session import open_session
from inference.pipeline import KeepGoing
from inference.repository import InstalledModel
from inference.tokenizer import Tokenizer

_BOS: Final = 1
_EOS: Final = 2
_TOKENS_PER_S: Final = 6.5
_MIN_TOKENS: Final = 6
_MIN_S: Final = 0.5
_PAST: Final = "past_key_values"
_LONGEST_PERIOD: Final = 24
_REPEATS: Final = 4
_MIN_LOOP_TOKENS: Final = 8


@dataclass(frozen=True, slots=True)
class Heard:
    """What was recognised in one chunk. `log_probability` is the sum over `steps` chosen tokens, the end mark included.

    `looped`: the decoder had begun to repeat itself, and all but the first round was thrown away.
    `cut`: the token limit came before the end mark.
    """

    text: str
    log_probability: float
    steps: int
    looped: bool
    cut: bool

    @property
    def confidence(self) -> float:
        """exp(mean log p): the geometric mean of the probabilities of the chosen tokens, 0..1."""
        return math.exp(self.log_probability / self.steps) if self.steps else 0.0


class Moonshine:
    """The loaded model. It keeps no state between chunks."""

    def __init__(self, model: InstalledModel, threads: int = 1) -> None:
        self.config = model.config
        self._encoder: onnxruntime.InferenceSession = open_session(model.path("encoder"), threads)
        self._decoder: onnxruntime.InferenceSession = open_session(model.path("decoder"), threads)
        self._tokenizer = Tokenizer(model.path("tokenizer"))
        present = [output.name for output in self._decoder.get_outputs() if output.name.startswith("present")]
        self._own = [name for name in present if ".decoder." in name]
        self._cross = [name for name in present if ".encoder." in name]
        self._empty = {
            node.name: np.zeros((1, node.shape[1], 0, node.shape[3]), np.float32)
            for node in self._decoder.get_inputs()
            if node.name.startswith(_PAST)
        }

    def hear(self, samples: Samples, keep_going: KeepGoing = lambda: None) -> Heard:
        """Recognise one chunk of mono 16 kHz samples (best under 15 s). Raises only what `keep_going` raises."""
        audio = np.zeros((1, max(len(samples), int(_MIN_S * RATE))), np.float32)
        audio[0, : len(samples)] = samples
        mask = np.ones(audio.shape, np.int64)
        (hidden,) = self._encoder.run(["last_hidden_state"], {"input_values": audio, "attention_mask": mask})
        feeds = {**self._empty, "encoder_hidden_states": hidden, "encoder_attention_mask": mask}
        limit = _MIN_TOKENS + int(len(samples) / RATE * _TOKENS_PER_S)
        tokens: list[int] = []
        scores: list[float] = []
        token = _BOS
        for step in range(limit):
            keep_going()
            token, score = self._step(feeds, token, first=step == 0)
            scores.append(score)
            if token == _EOS:
                return self._heard(tokens, scores)
            tokens.append(token)
            if kept := looping(tokens):
                return self._heard(tokens[:kept], scores[:kept], looped=True)
        return self._heard(tokens, scores, cut=True)

    def _step(self, feeds: dict[str, NDArray[np.generic]], token: int, *, first: bool) -> tuple[int, float]:
        """One token: (its number, its log probability). Updates the cache in `feeds`."""
        feeds["input_ids"] = np.array([[token]], np.int64)
        feeds["use_cache_branch"] = np.array([not first])
        wanted = [*self._own, *self._cross] if first else self._own
        logits, *cache = self._decoder.run(["logits", *wanted], feeds)
        for name, value in zip(wanted, cache, strict=True):
            feeds[_PAST + name.removeprefix("present")] = value
        row = logits[0, -1]
        best = int(row.argmax())
        return best, -math.log(float(np.exp(row - row[best]).sum()))

    def _heard(
        self, tokens: Sequence[int], scores: Sequence[float], *, looped: bool = False, cut: bool = False
    ) -> Heard:
        return Heard(self._tokenizer.text(tokens), math.fsum(scores), len(scores), looped, cut)


def looping(tokens: Sequence[int]) -> int:
    """How many tokens to keep if the end of the list is one phrase said over and over, else 0.

    A loop is four rounds or more, and eight tokens or more, of the same 1 to 24 tokens; its first round is kept.
    """
    for period in range(1, min(_LONGEST_PERIOD, len(tokens) // _REPEATS) + 1):
        rounds = max(_REPEATS, -(-_MIN_LOOP_TOKENS // period))
        if len(tokens) >= rounds * period and _same_rounds(tokens, period, rounds):
            return len(tokens) - (rounds - 1) * period
    return 0


def _same_rounds(tokens: Sequence[int], period: int, rounds: int) -> bool:
    last = tokens[len(tokens) - period :]
    return all(
        tokens[len(tokens) - (back + 1) * period : len(tokens) - back * period] == last for back in range(1, rounds)
    )
