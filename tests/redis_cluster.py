"""A Redis Cluster for tests: three masters on loopback, each with a third of the slots."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import redis

from tests.redis_server import START_SECONDS, find_redis_server
from tests.store.password_server import free_port

SLOTS = 16384
MASTERS = 3


class RedisCluster:
    """Three servers that keep nothing, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports: list[int] = []
        self._bus_ports: list[int] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    @classmethod
    def in_new_folder(cls) -> RedisCluster:
        """Three servers in a folder of their own, which goes with them."""
        return cls(Path(tempfile.mkdtemp(prefix="nm-redis-")))

    @property
    def url(self) -> str:
        """As REDIS_URL names it."""
        return f"redis+cluster://127.0.0.1:{self.ports[0]}"

    def start(self) -> None:
        """Return when all of them agree that it is whole. Raises RuntimeError where it does not become so."""
        for _ in range(MASTERS):
            self._start_one()
        self._until(lambda: all(self._answers(port) for port in self.ports))
        share = SLOTS // MASTERS + 1
        for number, port in enumerate(self.ports):
            first, last = number * share, min((number + 1) * share, SLOTS) - 1
            self.tell(port, "CLUSTER", "ADDSLOTSRANGE", first, last)
            # A configuration of its own each from the start: nothing has to be agreed upon afterwards.
            self.tell(port, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for port, bus in zip(self.ports[1:], self._bus_ports[1:], strict=True):
            self.tell(self.ports[0], "CLUSTER", "MEET", "127.0.0.1", port, bus)
        self._until(lambda: all(self._whole(port) for port in self.ports))

    def stop(self) -> None:
        """End it; what it knew is lost."""
        for process in self._processes:
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def tell(self, port: int, *command: str | int) -> object:
        """The answer of one server to a command."""
        with redis.Redis(host="127.0.0.1", port=port, socket_timeout=START_SECONDS) as client:
            return client.execute_command(*command)

    def move(self, key: str) -> None:
        """Move a key's slot, with all that is in it, to the next server."""
        slot = self.tell(self.ports[0], "CLUSTER", "KEYSLOT", key)
        assert isinstance(slot, int)
        source = next(port for port in self.ports if self._has(port, slot))
        target = self.ports[(self.ports.index(source) + 1) % MASTERS]
        names = {port: str(self.tell(port, "CLUSTER", "MYID"), "ascii") for port in (source, target)}
        self.tell(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
        self.tell(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
        while found := self.tell(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
            self.tell(source, "MIGRATE", "127.0.0.1", target, "", 0, 5000, "KEYS", *found)
        for port in (target, source):
            self.tell(port, "CLUSTER", "SETSLOT", slot, "NODE", names[target])

    @contextlib.contextmanager
    def paused(self, key: str) -> Iterator[None]:
        """The server that has a key does nothing, and its connections stay, until the block ends."""
        slot = self.tell(self.ports[0], "CLUSTER", "KEYSLOT", key)
        assert isinstance(slot, int)
        process = self._processes[next(n for n, port in enumerate(self.ports) if self._has(port, slot))]
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def restart(self, key: str) -> None:
        """The server that has a key is killed and started anew, with nothing; returns when the cluster is whole."""
        slot = self.tell(self.ports[0], "CLUSTER", "KEYSLOT", key)
        assert isinstance(slot, int)
        number = next(number for number, port in enumerate(self.ports) if self._has(port, slot))
        self._processes[number].kill()
        self._processes[number].wait()
        self._processes[number] = self._run(self.ports[number], self._bus_ports[number])
        self._until(lambda: self._answers(self.ports[number]))
        self._until(lambda: all(self._whole(port) for port in self.ports))

    def _has(self, port: int, slot: int) -> bool:
        with redis.Redis(host="127.0.0.1", port=port, socket_timeout=START_SECONDS) as client:
            mine = client.execute_command("CLUSTER", "MYID").decode()
            ranges = client.execute_command("CLUSTER SLOTS")
        return any(first <= slot <= last and owner[2].decode() == mine for first, last, owner, *_ in ranges)

    def _start_one(self) -> None:
        port, bus = free_port(), free_port()
        folder = self.folder / str(port)
        folder.mkdir(parents=True)
        self.ports.append(port)
        self._bus_ports.append(bus)
        self._processes.append(self._run(port, bus))

    def _run(self, port: int, bus: int) -> subprocess.Popen[bytes]:
        folder = self.folder / str(port)
        return subprocess.Popen(
            [
                find_redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes",
                "--cluster-port", str(bus), "--save", "", "--appendonly", "no", "--dir", folder,
                "--logfile", folder / "log", "--set-proc-title", "no",
            ]
        )  # fmt: skip

    def _answers(self, port: int) -> bool:
        try:
            return bool(self.tell(port, "PING"))
        except redis.ConnectionError:
            return False

    def _whole(self, port: int) -> bool:
        about = self.tell(port, "CLUSTER", "INFO")
        assert isinstance(about, bytes)
        wanted = {"cluster_state:ok", f"cluster_known_nodes:{MASTERS}", f"cluster_size:{MASTERS}"}
        return wanted <= set(about.decode().split())

    def _until(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if time.monotonic() > deadline:
                logs = "\n".join((self.folder / str(port) / "log").read_text() for port in self.ports)
                raise RuntimeError(f"the Redis Cluster did not form:\n{logs}")
            time.sleep(0.02)
