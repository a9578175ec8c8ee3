"""One measuring process: `python -m tests.bench.child MODULE ROW[,ROW…] SCALE LIFE_S` prints {row: figure} as JSON.

MODULE has MEASURES, a function (scale) -> figure for each row it knows; a row it does not know is left out.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Callable, Mapping

import orjson

Measures = Mapping[str, Callable[[float], float]]


def main(arguments: list[str]) -> None:
    """Measure, print, and leave."""
    module, rows, scale, life_s = arguments
    # Should whoever started this die without ending it, it ends by itself.
    signal.alarm(int(life_s))
    with contextlib.redirect_stdout(sys.stderr):  # some peers print
        measures: Measures = importlib.import_module(module).MEASURES
        figures = {row: measures[row](float(scale)) for row in rows.split(",") if row in measures}
    sys.stdout.buffer.write(orjson.dumps(figures))
    sys.stdout.flush()
    # Taking thousands of threads and tasks of some peers down in good order would take longer than measuring them.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
