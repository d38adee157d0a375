"""`make cluster`: three nodes, Redis and, where it is installed, nginx in front of them. Ctrl-C ends all."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import click

from local_cluster.children import NotStarted, answers, end, free_port, start
from local_cluster.nginx import DOCUMENTED_NODES, find_nginx, nginx
from local_cluster.redis import redis
from neuron_meet.failure import ForeseenFailure
from neuron_meet.jwt_secret import with_secret
from neuron_meet.settings import Settings
from neuron_meet.store.provision import provide

NODES = len(DOCUMENTED_NODES)
NODE_SECONDS = 60.0


@click.command()
@click.option("--port", default=8080, show_default=True, help="nginx's port; 0 takes a free one.")
@click.option(
    "--node-port", default=3001, show_default=True, help="First of the nodes' ports; 0 takes free ones."
)
def main(port: int, node_port: int) -> None:
    """Run a cluster of three nodes on this machine until Ctrl-C."""
    ports = [node_port + n if node_port else free_port() for n in range(NODES)]
    try:
        asyncio.run(_run(port or free_port(), ports))
    except (NotStarted, ForeseenFailure) as failure:
        click.echo(str(failure), err=True)
        sys.exit(1)


async def _run(port: int, ports: list[int]) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    settings = Settings()  # pyright: ignore[reportCallIssue] - read from the environment
    # Beside the data of `make run`, which may run at the same time.
    settings = settings.model_copy(update={"neuron_meet_data_dir": settings.neuron_meet_data_dir / "cluster"})
    settings = with_secret(settings)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nm-cluster-")))
        provisioned = await provide(settings)
        stack.push_async_callback(provisioned.stop)
        server = await stack.enter_async_context(redis(folder))
        shared = {"REDIS_URL": server.url, "JWT_SECRET": settings.signing_key}
        processes = [await _node(stack, folder, number, provisioned.url, shared) for number in ports]
        for process, number in zip(processes, ports, strict=True):
            if not await answers(process, number, NODE_SECONDS) and not told.is_set():
                raise NotStarted(f"The node on port {number} did not start; what it says stands above.")
        nodes = [f"127.0.0.1:{number}" for number in ports]
        if find_nginx() is not None:
            await stack.enter_async_context(nginx(folder, nodes, port))
            click.echo(f"\nThe cluster, by way of nginx: http://127.0.0.1:{port}")
        else:
            click.echo("\nThere is no nginx here (apt-get install nginx): use the nodes' addresses.")
        click.echo("\n".join(f"node {number}: http://{node}" for number, node in enumerate(nodes, start=1)))
        click.echo(f"Redis:  {server.url}\nCtrl-C ends all.\n")
        await told.wait()
        click.echo("Ending the cluster.")
        await asyncio.gather(*(end(process) for process in processes))


async def _node(
    stack: AsyncExitStack, folder: Path, port: int, database_url: str, shared: dict[str, str]
) -> asyncio.subprocess.Process:
    given = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DATABASE_URL": database_url,
        "DIRECT_URL": os.environ.get("DIRECT_URL", database_url),
        **shared,
        "TRUSTED_PROXIES": "127.0.0.1",
        "DRAIN_SECONDS": os.environ.get("DRAIN_SECONDS", "1"),
        "NEURON_MEET_DATA_DIR": str(folder),
    }
    process = await start(sys.executable, "-m", "neuron_meet", "serve", env=os.environ | given)
    stack.push_async_callback(end, process)
    return process


if __name__ == "__main__":
    main()
