"""The tokenizer's file format, from tokens written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.repository.model_config import ModelBroken
from inference.tokenizer import Tokenizer


def write(path: Path, tokens: list[bytes]) -> Path:
    data = b""
    for token in tokens:
        length = len(token)
        data += bytes([length]) if length < 128 else bytes([length % 128 + 128, length // 128])
        data += token
    path.write_bytes(data)
    return path


def test_tokens_become_text(tmp_path: Path) -> None:
    tokens = [b"<unk>", b"<s>", "\u2581hello".encode(), "\u2581wor".encode(), b"ld", b".", b"\xe2\x82", b"\xac"]
    tokenizer = Tokenizer(write(tmp_path / "tokenizer.bin", tokens))
    assert len(tokenizer) == len(tokens)
    assert tokenizer.text([1, 2, 3, 4, 5]) == "hello world."
    assert tokenizer.text([6, 7]) == "\u20ac"  # one character in two tokens
    assert tokenizer.text([6]) == "\ufffd"
    assert tokenizer.text([]) == ""


@pytest.mark.parametrize("length", [0, 1, 127, 128, 129, 255, 256, 1000, 16_511])
def test_every_length_is_read(tmp_path: Path, length: int) -> None:
    tokenizer = Tokenizer(write(tmp_path / "tokenizer.bin", [b"a", b"x" * length, b"b"]))
    assert tokenizer.text([0, 1, 2]) == "a" + "x" * length + "b"


@pytest.mark.parametrize("data", [b"\x05abc", b"\x01a\x80", b"\x81\x01abc"])
def test_a_file_that_ends_early_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "tokenizer.bin"
    path.write_bytes(data)
    with pytest.raises(ModelBroken, match=r"tokenizer\.bin ends within"):
        Tokenizer(path)
