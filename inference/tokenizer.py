"""Moonshine's `tokenizer.bin`: token numbers to text. It only decodes; recognition never needs the other way.

Format: for each token one length byte (from 128 on: length = second byte * 128 + first - 128), then its bytes.
U+2581 stands for a space. `<...>` tokens are marks of the model and no text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from inference.repository.model_config import ModelBroken

_LONG: Final = 128
_MARK: Final = re.compile(rb"<[^<>]+>")
_SPACE: Final = "\u2581"


class Tokenizer:
    """The vocabulary of one model."""

    def __init__(self, path: Path) -> None:
        self._tokens = _read(path)

    def __len__(self) -> int:
        return len(self._tokens)

    def text(self, tokens: Sequence[int]) -> str:
        """The text of these tokens, trimmed. Bytes that do not make a whole character are replaced by U+FFFD."""
        parts = (self._tokens[token] for token in tokens)
        joined = b"".join(part for part in parts if not _MARK.fullmatch(part))
        return joined.decode("utf-8", "replace").replace(_SPACE, " ").strip()


def _read(path: Path) -> list[bytes]:
    data = path.read_bytes()
    tokens: list[bytes] = []
    position = 0
    while position < len(data):
        length = data[position]
        position += 1
        if length >= _LONG:
            if position == len(data):
                raise ModelBroken(f"{path} ends within the length of token {len(tokens)}")
            length += data[position] * _LONG - _LONG
            position += 1
        if position + length > len(data):
            raise ModelBroken(f"{path} ends within token {len(tokens)}")
        tokens.append(data[position : position + length])
        position += length
    return tokens
