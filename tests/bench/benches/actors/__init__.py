"""The engine: messages, questions, births and weight of actors, beside the bare loop, Pykka, xoscar and otpylib.

Each system has its module here, which says how it is used; `tests/bench/pace.py` says how all are timed. Every system
delivers one and the same immutable message object again and again: making it is the sender's affair.
"""

from __future__ import annotations

from typing import Final

from tests.bench.report import Row
from tests.bench.rounds import LIMIT, PARLEY, Note, Rounds, Settings, Spec, System

SUMMARY: Final = "tell, ask, spawn and memory of idle actors"

SPECS: Final = (
    Spec("tell", "1/s"),
    Spec("ask", "1/s"),
    Spec("ask_64", "1/s"),
    Spec("spawn", "1/s"),
    # In a process of its own: memory that earlier rows gave back would be taken again unseen.
    Spec("idle_bytes", "B", lower_is_better=True, process="weigh"),
)

SYSTEMS: Final = (
    System(PARLEY, f"{__name__}.parley_actors"),
    System(LIMIT, f"{__name__}.bare_loop"),
    System("pykka", f"{__name__}.pykka_threads", needs="pykka"),
    System("xoscar", f"{__name__}.xoscar_pool", needs="xoscar"),
    System("otpylib", f"{__name__}.otpylib_servers", needs="otpylib"),
)


def run(settings: Settings, note: Note) -> list[Row]:
    """Measure all rows."""
    return Rounds(SYSTEMS, SPECS, settings, note).measure()
