"""nginx in front of nodes, by the documented configuration."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from local_cluster.children import NotStarted, answers, end, start

CONFIGURATION = Path(__file__).resolve().parent.parent / "deploy" / "nginx" / "neuron-meet.conf"
DOCUMENTED_NODES = ("127.0.0.1:3001", "127.0.0.1:3002", "127.0.0.1:3003")
DOCUMENTED_LISTEN = "listen 8080;"

_MAIN = """
{user}daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  include {folder}/neuron-meet.conf;
}}
"""


def find_nginx() -> str | None:
    """The program: on PATH, or where Debian puts it, which is not on everybody's."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def configuration(nodes: Sequence[str], port: int) -> str:
    """The documented configuration for three other nodes (`host:port`) and another port, otherwise unchanged."""
    text = CONFIGURATION.read_text()
    for documented, node in zip(DOCUMENTED_NODES, nodes, strict=True):
        text = text.replace(f"server {documented} ", f"server {node} ")
    return text.replace(DOCUMENTED_LISTEN, f"listen 127.0.0.1:{port};")


@asynccontextmanager
async def nginx(folder: Path, nodes: Sequence[str], port: int) -> AsyncGenerator[asyncio.subprocess.Process]:
    """nginx on 127.0.0.1:`port` before `nodes` (`host:port`), as long as the block lasts. Raises NotStarted."""
    async with nginx_with(folder, configuration(nodes, port), port) as process:
        yield process


@asynccontextmanager
async def nginx_with(folder: Path, text: str, port: int) -> AsyncGenerator[asyncio.subprocess.Process]:
    """nginx with `text` in its `http` block, which has it listen on 127.0.0.1:`port`. Raises NotStarted."""
    program = find_nginx()
    if program is None:
        raise NotStarted(
            "There is no nginx. Debian, Ubuntu: apt-get install nginx. macOS: brew install nginx."
        )
    (folder / "neuron-meet.conf").write_text(text)
    main = folder / "nginx.conf"
    # Started by root, its workers would be nobody, who may not write a large body into this folder.
    user = "user root;\n" if os.geteuid() == 0 else ""
    main.write_text(_MAIN.format(folder=folder, user=user))
    process = await start(program, "-p", folder, "-e", folder / "nginx-error.log", "-c", main)
    try:
        if not await answers(process, port):
            log = (folder / "nginx-error.log").read_text(errors="replace")
            raise NotStarted(f"nginx did not start:\n{log}")
        yield process
    finally:
        await end(process)
