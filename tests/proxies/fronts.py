"""nginx, HAProxy and Caddy of Debian with TLS, each in front of one server, by way of connections that can be cut."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult

from local_cluster.children import NotStarted, answers, end, free_port, start
from local_cluster.nginx import nginx_with
from tests.ops.programs import program, run
from tests.proxies.notations import CADDY_SIX, NGINX_SIX, NOTATIONS
from tests.recovery.proxy import Proxy, proxied

NAME = "meet.example.com"
KINDS = ("nginx", "haproxy", "caddy")


@dataclass(frozen=True)
class Certificate:
    """Self-signed, for `NAME`."""

    chain: Path
    key: Path

    @classmethod
    async def made(cls, folder: Path) -> Certificate:
        """A new one in `folder`; `pair.pem` has both, as HAProxy wants it."""
        chain, key = folder / "chain.pem", folder / "key.pem"
        code, said = await run(
            program("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", f"/CN={NAME}",
            "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", key, "-out", chain,
        )  # fmt: skip
        assert code == 0, said
        (folder / "pair.pem").write_text(chain.read_text() + key.read_text())
        return cls(chain, key)

    @property
    def pair(self) -> Path:
        return self.chain.with_name("pair.pem")


class Front:
    """A running proxy. `upstream` are its connections to the server."""

    def __init__(self, kind: str, port: int, certificate: Certificate, upstream: Proxy) -> None:
        self.kind, self.port, self.upstream = kind, port, upstream
        self._certificate = certificate

    @property
    def origin(self) -> str:
        """Of the page that it serves, and where clients connect."""
        return f"https://{NAME}:{self.port}"

    def options(self, path: str = "/", **given: Any) -> dict[str, Any]:
        """The official client's, as a browser has it whose page came through this proxy, below `path`."""
        return {
            "path": f"{path}socket.io/",
            "ca": self._certificate.chain.read_text(),
            "extraHeaders": {"Origin": self.origin},
            **given,
        }

    def session(self, address: str = "127.0.0.1") -> ClientSession:
        """Requests from an address of this machine."""
        connector = TCPConnector(
            ssl=ssl.create_default_context(cafile=self._certificate.chain),
            resolver=_Loopback(),
            local_addr=(address, 0),
        )
        return ClientSession(self.origin, connector=connector)


class _Loopback(AbstractResolver):
    """Every name is this machine's."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [
            {"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0},
        ]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def fronting(kind: str, folder: Path, certificate: Certificate, server: str) -> AsyncGenerator[Front]:
    """A proxy of that kind before the server at that URL. Skips the test where the program is missing."""
    program(kind, kind)
    port = free_port()
    async with proxied(server) as (upstream, url):
        text = _TEXTS[kind](url.removeprefix("http://"), port, certificate)
        front = Front(kind, port, certificate, upstream)
        if kind == "nginx":
            async with nginx_with(folder, text, port):
                yield front
        else:
            async with started(kind, folder, text, port):
                yield front


@asynccontextmanager
async def started(
    kind: str, folder: Path, text: str, port: int
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """HAProxy or Caddy with that configuration. Skips the test where the program is missing. Raises NotStarted."""
    configuration = folder / f"{kind}.conf"
    configuration.write_text(text)
    arguments = {
        "haproxy": ("-db", "-f", configuration),
        "caddy": ("run", "--adapter", "caddyfile", "--config", configuration),
    }[kind]
    # Caddy keeps things in its home.
    environment = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    process = await start(program(kind, kind), *arguments, env=environment, cwd=folder)
    try:
        if not await answers(process, port):
            raise NotStarted(f"{kind} did not start")
        yield process
    finally:
        await end(process)


def _nginx(server: str, port: int, certificate: Certificate) -> str:
    socket = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $upgrading;"
    usual = "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
    notations = "".join(
        f"location /{name}/ {{ {socket} {lines} proxy_pass http://meet/; }}\n"
        for name, lines in NOTATIONS["nginx"].items()
    )
    return f"""
upstream meet {{ server {server}; keepalive 8; }}
map $http_upgrade $upgrading {{ default upgrade; "" ""; }}
{NGINX_SIX}
server {{
  listen 127.0.0.1:{port} ssl;
  server_name {NAME};
  ssl_certificate {certificate.chain};
  ssl_certificate_key {certificate.key};
  {notations}
  location /unbuffered/ {{
    {socket} {usual} proxy_buffering off; proxy_request_buffering off; proxy_pass http://meet/;
  }}
  location /defaults/ {{ proxy_set_header Host $http_host; proxy_pass http://{server}/; }}
  location / {{ {socket} {usual} proxy_pass http://meet; }}
}}
"""


def _haproxy(server: str, port: int, certificate: Certificate) -> str:
    choices = "".join(f"  use_backend {name} if {{ path_beg /{name}/ }}\n" for name in NOTATIONS["haproxy"])
    backends = "".join(
        f"backend {name}\n  http-request replace-path /{name}(/.*) \\1\n  {lines}\n  server meet {server}\n"
        for name, lines in NOTATIONS["haproxy"].items()
    )
    return f"""
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
frontend https
  bind 127.0.0.1:{port} ssl crt {certificate.pair}
{choices}
  default_backend usual
{backends}
backend usual
  option forwardfor
  server meet {server}
"""


def _caddy(server: str, port: int, certificate: Certificate) -> str:
    notations = "".join(
        f"  handle_path /{name}/* {{\n    reverse_proxy {server} {{\n      {lines}\n    }}\n  }}\n"
        for name, lines in NOTATIONS["caddy"].items()
    )
    return f"""
{{
  admin off
  grace_period 1s
  auto_https off
  log {{
    output discard
  }}
}}
https://{NAME}:{port} {{
  bind 127.0.0.1
  tls {certificate.chain} {certificate.key}
  {CADDY_SIX}
{notations}
  handle {{
    encode zstd gzip
    reverse_proxy {server}
  }}
}}
"""


_TEXTS: dict[str, Callable[[str, int, Certificate], str]] = {
    "nginx": _nginx,
    "haproxy": _haproxy,
    "caddy": _caddy,
}
