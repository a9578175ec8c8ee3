"""A node: `python -m runtime.node` puts every part together, serves until it is told to stop, and takes it down again.

This file alone may import everything, and nothing imports it. Exit status 0: stopped as told. 1: a part failed and
could not be mended. 2: a setting has to change first (a port that is taken, a value that is not allowed).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Final

if __name__ == "__main__":
    # Until the loop listens to signals, Ctrl-C just ends the process: a KeyboardInterrupt that is raised in the middle
    # of an import, in a callback of the garbage collector say, is ignored, and the node would never hear of it again.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import structlog
import uvloop

from actors import errands, kinds
from actors.issuer import Issuer, TokenLives
from actors.passwords import PasswordHasher
from actors.shard import ShardDeps
from inference.broker import Broker, BrokerSettings, Limits
from inference.repository import BrokenModel, InstalledModel, ModelRepository
from models.sqlite import open_sqlite
from models.stores import Backend, Stores
from protocols.ai import GetShard, ShardView, Task
from protocols.errors import ParleyError, Unavailable
from protocols.tokens import TokenSigner
from runtime import __version__, logs
from runtime.config import ConfigError, Settings, add_options, given_options, load, misspelt_environment
from runtime.engine import ActorSystem, LoopWatch
from runtime.gateway import Gateway, Listener, ListenFailed, Model, NodeFacts, Readiness, from_settings
from runtime.gateway.listening import listen
from runtime.metrics import Metrics
from runtime.queue import (
    Handlers,
    ProducerSettings,
    Queue,
    QueueLimits,
    QueueWorker,
    TaskQueue,
    WorkerSettings,
    open_queue,
)
from runtime.redis import RedisClients, health
from runtime.token_secret import token_secret
from runtime.topics import Journal, Topics
from runtime.topics.redis_calls import RedisTopicsSettings
from runtime.topics.redis_topics import RedisTopics

log: Final = structlog.get_logger("parley.node")

STOPPED, FAILED, MISCONFIGURED = 0, 1, 2
ECHO_S: Final = 0.5
"""A signal that comes again so soon is the same one: `timeout` and others send it to the process and to its group."""
SHOWN_VERSIONS: Final = ("aiohttp", "onnxruntime", "pyzmq", "uvloop")


class Node:
    """One node, from its settings. `start` opens everything in order, `stop` closes it in reverse."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open = AsyncExitStack()
        self._readiness = Readiness()
        self._metrics = Metrics(node=settings.node_name)
        self._system: ActorSystem | None = None
        self._gateway: Gateway | None = None

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        host, port = self._gateway.addresses["http"] if self._gateway else ("", 0)
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
        return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"

    async def start(self) -> None:
        """Open everything. Raises ConfigError, ListenFailed or another ParleyError, and then nothing is left open."""
        try:
            await self._start()
        except BaseException:
            await self._open.aclose()
            raise

    async def stop(self) -> None:
        """Drain the edge, then close everything in reverse order. What had begun gets `drain_timeout_s` to finish."""
        if self._gateway is not None:
            await self._gateway.drain(self._settings.drain_timeout_s)
        await self._open.aclose()

    async def wait_failed(self) -> BaseException:
        """Wait until a part fails that no supervisor could mend."""
        if self._system is None:
            raise RuntimeError("the node has not been started")
        return await self._system.wait_failed()

    async def _start(self) -> None:
        settings = self._settings
        listeners = from_settings.listeners(settings)
        for listener in listeners:
            # A port that is taken is found out before anything is opened, written or logged.
            listen(listener).close()
        # First of the data, for one node alone may hold it: a second one must not touch the database.
        journal = await _journal(settings.data_dir)
        self._open.push_async_callback(journal.close)
        secret = token_secret(settings)
        stores = await open_sqlite(settings.data_dir / "parley.db", clock=lambda: datetime.now(UTC))
        self._open.push_async_callback(stores.close)
        queue = await self._queue()
        carrier = await self._carrier(journal)
        hasher = PasswordHasher(threads=settings.hash_threads)
        self._open.push_async_callback(hasher.close)
        system = self._system = ActorSystem(settings.node_name, ask_timeout_s=settings.ask_timeout_s)
        self._open.push_async_callback(system.stop)
        watch = LoopWatch(system)
        watch.start()
        self._open.callback(watch.stop)
        signer = TokenSigner(secret.encode())
        lives = TokenLives(settings.access_token_ttl_s, settings.refresh_token_ttl_s)
        domain = kinds.Domain(
            stores=stores,
            topics=Topics(system, carrier, source=settings.node_name),
            tasks=queue,
            hasher=hasher,
            issuer=Issuer(signer, lives),
            ice_servers=from_settings.ice_servers(settings),
            shards={Task.SPEECH_RECOGNITION: ShardDeps(lambda: Broker(_inference(settings)))},
            recognition_timeout_s=settings.recognition_timeout_s,
        )
        kinds.carry(system, domain)
        self._work(system, queue, stores)
        self._watch_dependencies(system, stores.backends)
        self._gateway = gateway = self._edge(system, signer, listeners)
        await gateway.start()
        self._open.push_async_callback(gateway.stop)

    async def _carrier(self, journal: Journal) -> Journal | RedisTopics:
        """What carries the topics: Redis where there is one, else the journal of the data folder."""
        url = _redis_url(self._settings)
        if url is None:
            return journal
        clients = RedisClients(url)
        self._open.push_async_callback(clients.aclose)
        chosen = RedisTopicsSettings(prefix=self._settings.redis_prefix)
        carrier = await RedisTopics.open(clients, rng=random.Random(), settings=chosen)
        self._open.push_async_callback(carrier.close)
        self._readiness.add("redis", partial(_redis_state, clients))
        return carrier

    async def _queue(self) -> Queue:
        """The task queue: in Redis where there is one, else in the data folder."""
        settings = self._settings
        limits = QueueLimits(waiting=settings.queue_waiting_limit, dead=settings.queue_dead_limit)
        url, prefix = _redis_url(settings), settings.redis_prefix
        tasks = await open_queue(
            redis_url=url, data_dir=settings.data_dir, prefix=prefix, limits=limits, rng=random.Random()
        )
        self._open.push_async_callback(tasks.close)
        sizes = ProducerSettings(max_message_bytes=settings.queue_max_message_bytes)
        queue = Queue(tasks, source=settings.node_name, rng=random.Random(), settings=sizes)
        self._open.push_async_callback(queue.close)
        self._readiness.add("task_queue", partial(_queue_depth, tasks))
        return queue

    def _work(self, system: ActorSystem, queue: Queue, stores: Stores) -> None:
        """Do the queue's tasks, those that this node knows how to do."""
        handlers = Handlers()
        errands.handle(handlers, stores.logins)
        chosen = self._settings
        settings = WorkerSettings(concurrency=chosen.queue_concurrency, drain_s=chosen.drain_timeout_s / 2)
        system.spawn(QueueWorker, queue.tasks, handlers, settings, name="queue-worker", options=settings.options)

    def _edge(self, system: ActorSystem, signer: TokenSigner, listeners: Sequence[Listener]) -> Gateway:
        settings = self._settings
        facts = NodeFacts(
            node=settings.node_name,
            version=__version__,
            started_at=datetime.now(UTC),
            versions={name: metadata.version(name) for name in SHOWN_VERSIONS},
            models=lambda: _models(settings.model_dir),
        )
        return Gateway(
            system,
            signer,
            listeners,
            now=time.time,
            facts=facts,
            readiness=self._readiness,
            metrics=self._metrics,
            limits=from_settings.limits(settings),
            ice_servers=from_settings.ice_servers(settings),
        )

    def _watch_dependencies(self, system: ActorSystem, backends: Sequence[Backend]) -> None:
        for backend in backends:
            self._readiness.add("database", partial(_ping, backend))
        shard = system.entity("shard", Task.SPEECH_RECOGNITION.value)

        async def speech() -> str:
            view: ShardView = await shard.ask(GetShard(), 1.0)
            if not view.ready:
                raise Unavailable(view.detail)
            return f"{view.detail}; {view.workers} workers"

        # Not required: a node without the model still does everything else, and says what it lacks.
        self._readiness.add("speech_recognition", speech, required=False)
        self._metrics.observe_engine(system.statistics)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise ConfigError([f"data_dir: {folder} cannot be used: it is no folder"]) from None
    except OSError as error:
        raise ConfigError([f"data_dir: {folder} cannot be used: {error.strerror}"]) from None


async def _journal(folder: Path) -> Journal:
    """The journal in the data folder, which is made. Raises ConfigError where this node cannot have that folder."""
    _make_folder(folder)
    try:
        return await Journal.open(folder / "journal.db")
    except Unavailable as error:
        raise ConfigError([f"data_dir: {error.detail}"]) from None


async def _ping(backend: Backend) -> str:
    await backend.ping()
    return backend.statistics().backend


def _redis_url(settings: Settings) -> str | None:
    return settings.redis_url.get_secret_value() if settings.redis_url else None


async def _redis_state(clients: RedisClients) -> str:
    state = await health(clients)
    return f"{state.version}, {'durable' if state.durable else 'not durable: it has no append-only file'}"


async def _queue_depth(tasks: TaskQueue) -> str:
    depths = await tasks.depths()
    return f"{sum(depths.waiting.values())} waiting, {depths.dead} dead"


def _inference(settings: Settings) -> BrokerSettings:
    return BrokerSettings(
        models_dir=settings.model_dir,
        workers=settings.speech_workers,
        limits=Limits(queue=settings.inference_queue_limit),
        log_level=settings.log_level.upper(),
        log_format=logs.resolved(settings.log_format),
    )


def _models(folder: Path) -> list[Model]:
    def row(model: InstalledModel | BrokenModel) -> Model:
        if isinstance(model, InstalledModel):
            config = model.config
            return Model(name=config.name, task=config.task, version=config.version, state="ready")
        return Model(name=model.name, task="", version=model.version, state="broken")

    return [row(model) for model in ModelRepository(folder).scan()]


async def serve(settings: Settings) -> int:
    """Run a node until SIGTERM or SIGINT, or until it fails. Returns the exit status."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    stop = _stopper(told)
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
    node = Node(settings)
    await node.start()
    log.info("ready", address=node.address, version=__version__)
    print(f"Parley {__version__} is ready: {node.address}", flush=True)
    failure = asyncio.create_task(node.wait_failed())
    stopping = asyncio.create_task(told.wait())
    await asyncio.wait({failure, stopping}, return_when=asyncio.FIRST_COMPLETED)
    failed = failure.done()
    log.info("stopping", why="a part failed" if failed else "told to")
    for task in (failure, stopping):
        task.cancel()
    await node.stop()
    log.info("stopped")
    return FAILED if failed else STOPPED


def _stopper(told: asyncio.Event) -> Callable[[], None]:
    told_at = 0.0

    def stop() -> None:
        nonlocal told_at
        now = time.monotonic()
        if not told.is_set():
            told_at = now
            told.set()
        elif now - told_at > ECHO_S:
            # Told twice: whoever waits has run out of patience. Workers notice their parent's end by themselves.
            os._exit(FAILED)

    return stop


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m runtime.node", description="Run a Parley node.")
    parser.add_argument("--version", action="version", version=f"Parley {__version__}")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a TOML file with settings")
    parser.add_argument("--check-config", action="store_true", help="say what is wrong with the settings, and exit")
    add_options(parser)
    given = parser.parse_args(arguments)
    try:
        settings = load(given.config, given_options(given))
        misspelt = misspelt_environment(os.environ)
        if given.check_config:
            for line in misspelt:
                print(f"parley: {line}", file=sys.stderr)
            print("The settings are good.")
            return STOPPED
        logs.configure(settings.log_format, settings.log_level, node=settings.node_name)
        for line in misspelt:
            log.warning("misspelt setting", detail=line)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(serve(settings))
    except ConfigError as error:
        for line in error.lines:
            print(f"parley: {line}", file=sys.stderr)
        return MISCONFIGURED
    except ListenFailed as error:
        print(f"parley: {error.detail}", file=sys.stderr)
        return MISCONFIGURED
    except ParleyError as error:
        print(f"parley: {error.detail}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
