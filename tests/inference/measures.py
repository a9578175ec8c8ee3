"""How good a transcript is: word error rate, on words alone (case and punctuation do not count)."""

from __future__ import annotations

import re
from collections.abc import Sequence


def words(text: str) -> list[str]:
    """The words of a text in lower case; a hyphen parts two words, an apostrophe belongs to one."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower())


def word_errors(truth: str, heard: str) -> tuple[int, int]:
    """(errors, words of the truth): the least insertions, deletions and substitutions between the two."""
    return _distance(words(truth), words(heard)), len(words(truth))


def _distance(left: Sequence[str], right: Sequence[str]) -> int:
    row = list(range(len(right) + 1))
    for count, one in enumerate(left, start=1):
        above, row = row, [count]
        for column, other in enumerate(right, start=1):
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + (one != other)))
    return row[-1]
