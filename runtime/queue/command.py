"""The command line `python -m runtime.queue`: depths, and the care of dead letters.

Exit status: 0 done, 1 not done (the queue is away, there is no such letter, some could not be replayed), 2 the command
was wrong, 130 interrupted.
"""

# ruff: noqa: T201 - a command line prints

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from protocols.errors import InvalidArgument, ParleyError
from runtime.queue.opening import FILE, open_queue
from runtime.queue.task_queue import DeadLetter, Depths, Moved, TaskQueue

_INTERRUPTED: Final = 130
_REASON_CHARACTERS: Final = 80


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        return asyncio.run(_run(arguments))
    except ParleyError as error:
        print(error.detail, file=sys.stderr)
        return 2 if isinstance(error, InvalidArgument) else 1
    except KeyboardInterrupt:
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--redis-url", metavar="URL", help="the queue in this Redis (default: PARLEY_REDIS_URL)")
    where.add_argument(
        "--data-dir",
        metavar="DIR",
        type=Path,
        help="the queue in this folder (default: PARLEY_DATA_DIR, or var)",
    )
    where.add_argument("--prefix", default="", help="what stands before the names of the lists in Redis")
    where.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser = argparse.ArgumentParser(prog="python -m runtime.queue", description="Look at the task queue.")
    commands = parser.add_subparsers(required=True, metavar="depths | dead")
    depths = commands.add_parser("depths", parents=[where], help="how many tasks are where")
    depths.set_defaults(run=_depths)
    dead = commands.add_parser("dead", help="the dead letters").add_subparsers(
        required=True, metavar="list | show | replay | drop"
    )
    listing = dead.add_parser("list", parents=[where], help="list them, the newest first")
    listing.add_argument("--limit", type=_count, default=100, help="how many (default: 100)")
    listing.add_argument("--offset", type=_count, default=0, help="how many to step over")
    listing.set_defaults(run=_list)
    show = dead.add_parser("show", parents=[where], help="show one with its message")
    show.add_argument("id", metavar="ID")
    show.set_defaults(run=_show)
    for name, run, text in (("replay", _replay, "let them wait again"), ("drop", _drop, "throw them away")):
        command = dead.add_parser(name, parents=[where], help=text)
        which = command.add_mutually_exclusive_group(required=True)
        which.add_argument("id", metavar="ID", nargs="?")
        which.add_argument("--all", action="store_true", help="every one")
        command.set_defaults(run=run)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a number of 0 or more, not {text!r}")
    return int(text)


async def _run(arguments: argparse.Namespace) -> int:
    redis_url = arguments.redis_url or (None if arguments.data_dir else os.environ.get("PARLEY_REDIS_URL"))
    data_dir = arguments.data_dir or Path(os.environ.get("PARLEY_DATA_DIR") or "var")
    if arguments.redis_url and arguments.data_dir:
        raise InvalidArgument("--redis-url and --data-dir name two queues: give one")
    if not redis_url and not (data_dir / FILE).exists():
        raise InvalidArgument(f"there is no queue in {data_dir}: name its folder with --data-dir, or use --redis-url")
    queue = await open_queue(redis_url=redis_url, data_dir=data_dir, prefix=arguments.prefix, rng=Random())
    try:
        run: Callable[[TaskQueue, argparse.Namespace], Awaitable[int]] = arguments.run
        return await run(queue, arguments)
    finally:
        await queue.close()


async def _depths(queue: TaskQueue, arguments: argparse.Namespace) -> int:
    depths = await queue.depths()
    if arguments.json:
        _print_json(depths)
        return 0
    for name, number in _named(depths):
        print(f"{name:<18} {number}")
    return 0


def _named(depths: Depths) -> list[tuple[str, int]]:
    lists = [(priority.queue, number) for priority, number in depths.waiting.items()]
    rest = [("processing_queue", depths.processing), ("dead_letter_queue", depths.dead), ("delayed", depths.delayed)]
    aside = [(f"  aside: {name}", number) for name, number in sorted(depths.by_type.items())]
    return [*lists, *aside, *rest, ("unread", depths.unread), *((f"{n} so far", v) for n, v in depths.counts.items())]


async def _list(queue: TaskQueue, arguments: argparse.Namespace) -> int:
    letters = await queue.dead_letters(offset=arguments.offset, limit=arguments.limit)
    if arguments.json:
        _print_json([_described(letter) for letter in letters])
        return 0
    for letter in letters:
        reason = letter.reason.replace("\n", " ")[:_REASON_CHARACTERS]
        print(f"{letter.id}  {letter.died_at:%Y-%m-%dT%H:%M:%SZ}  {reason}")
    if not letters:
        print("no dead letters", file=sys.stderr)
    return 0


async def _show(queue: TaskQueue, arguments: argparse.Namespace) -> int:
    described = _described(await queue.dead_letter(arguments.id))
    text = msgspec.json.encode(described)
    print((text if arguments.json else msgspec.json.format(text, indent=2)).decode())
    return 0


def _described(letter: DeadLetter) -> dict[str, object]:
    """For programs: the message as JSON where it is JSON, else as text."""
    try:
        message: object = msgspec.json.decode(letter.text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = letter.text.decode(errors="replace")
    return {"id": letter.id, "died_at": letter.died_at, "reason": letter.reason, "message": message}


async def _replay(queue: TaskQueue, arguments: argparse.Namespace) -> int:
    return _moved("replayed", await queue.replay(arguments.id), arguments)


async def _drop(queue: TaskQueue, arguments: argparse.Namespace) -> int:
    return _moved("dropped", await queue.drop(arguments.id), arguments)


def _moved(done: str, moved: Moved, arguments: argparse.Namespace) -> int:
    if arguments.json:
        _print_json({done: moved.count, "refused": moved.refused})
    else:
        print(f"{done}: {moved.count}")
        for one in moved.refused:
            print(f"not {done}: {one}: no queue message, or a task of this id is alive", file=sys.stderr)
    return 1 if moved.refused else 0


def _print_json(value: object) -> None:
    print(msgspec.json.encode(value).decode())
