"""The built-in page, and a built front end in `CLIENT_DIST`."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from pathlib import Path

import pytest
from aiohttp import web

from neuron_meet.settings import Settings
from neuron_meet.store.client import Database
from neuron_meet.web_client import PAGE, ClientMissingError, add_web_client
from tests.rest.server import Server, serving
from tests.rest.shapes import error

INDEX = "<!doctype html><title>Meet</title>"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A built front end, with secrets around it."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(INDEX)
    (folder / "assets" / "app.js").write_text("let app")
    (folder / "assets" / "style.css").write_text("p {}")
    (folder / ".env").write_text("SECRET=1")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    return folder


async def test_files_and_the_page_for_everything_else(database: Database, dist: Path) -> None:
    async with serving(database, client_dist=dist) as server:
        for path in ("/", "/index.html", "/room/abc-def-ghi", "/deep/er/", "/assets", "/api-docs", "/apix"):
            answer = await server.get(path)
            assert (answer.status, answer.body) == (200, INDEX), path
            assert answer.headers["content-type"] == "text/html"
            assert answer.headers["cache-control"] == "no-cache"
        script = await server.get("/assets/app.js")
        assert (script.status, script.body) == (200, "let app")
        assert "javascript" in script.headers["content-type"]
        assert script.headers["cache-control"] == "max-age=3600"
        assert script.headers["x-content-type-options"] == "nosniff"
        assert script.headers["content-security-policy"].startswith("frame-ancestors 'self'")
        assert (await server.get("/assets/style.css")).headers["content-type"] == "text/css"
        head = await server.call("HEAD", "/")
        assert (head.status, head.body) == (200, "")


async def test_a_script_that_is_missing_is_not_a_page(database: Database, dist: Path) -> None:
    async with serving(database, client_dist=dist) as server:
        answer = await server.get("/assets/old.js")
        assert (answer.status, answer.body) == (404, error(404, "Cannot GET /assets/old.js"))
        page = await server.call("GET", "/people/ada.lovelace", headers=HTML)
        assert (page.status, page.body) == (200, INDEX)


async def test_the_api_stays_the_api(database: Database, dist: Path) -> None:
    async with serving(database, client_dist=dist) as server:
        assert (await server.get("/api")).body == "server running"
        for path in ("/api/nothing", "/api/rooms/x/y/z"):
            answer = await server.get(path)
            assert (answer.status, answer.body) == (404, error(404, f"Cannot GET {path}"))
        answer = await server.post("/room/abc-def-ghi", {})
        assert (answer.status, answer.body) == (404, error(404, "Cannot POST /room/abc-def-ghi"))
        assert (await server.get("/socket.io/")).status == 404


async def raw_get(server: Server, target: str) -> bytes:
    """What a client gets that does not tidy its path."""
    url = server.session._base_url
    assert url is not None
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return await asyncio.wait_for(reader.read(), 30)
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "target",
    [
        "/../secret.txt",
        "/assets/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "//secret.txt",
        "/link.txt",
        "/.env",
        "/%2eenv",
        "/index.html%00.js",
        "/..%5csecret.txt",
        "/etc/passwd",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
    ],
)
async def test_nothing_outside_the_folder(database: Database, dist: Path, target: str) -> None:
    async with serving(database, client_dist=dist) as server:
        answer = await raw_get(server, target)
        assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 404", b"HTTP/1.1 400"))
        assert b"secret\r\n" not in answer
        assert not answer.endswith(b"secret")
        assert b"SECRET" not in answer
        assert b"root:" not in answer


async def test_a_folder_without_a_page_is_refused(database: Database, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(
            ClientMissingError, match=r"there is no index\.html in it\. Build the front end first"
        ):
            async with serving(database, client_dist=folder):
                pass


async def test_without_a_front_end_the_server_says_what_it_is(database: Database) -> None:
    async with serving(database, web_page=False) as server:
        answer = await server.get("/")
        assert answer.status == 200
        assert answer.body == "Neuron Meet's server. REST is under /api, Socket.IO under /socket.io/.\n"
        assert (await server.get("/room/abc-def-ghi")).status == 404
        assert (await server.get("/assets/main.js")).status == 404


async def test_the_built_in_page(server: Server) -> None:
    for path in ("/", "/join/abc-def-ghi", "/join/anything"):
        answer = await server.get(path)
        assert (answer.status, answer.headers["content-type"]) == (200, "text/html")
        assert answer.headers["cache-control"] == "no-cache"
        assert "<title>Neuron Meet</title>" in answer.body
    for path in (
        "/join",
        "/join/a/b",
        "/assets/",
        "/assets/index.html",
        "/assets/../settings.py",
        "/index.html",
    ):
        assert (await server.get(path)).status == 404, path


async def test_the_page_names_only_files_that_are_served(server: Server) -> None:
    """Each under a name that changes with its contents, kept for ever; and under its own, asked for each time."""
    answer = await server.get("/")
    imports: dict[str, str] = json.loads(import_map_in(answer.body))["imports"]
    named = set(re.findall(r'"(/assets/[^"]+)"', answer.body)) - imports.keys()
    assert {"/assets/signaling.js", "/assets/socket.io.esm.min.js", "/assets/main.js"} <= imports.keys()
    assert set(imports.values()) <= named
    for path in named:
        assert re.search(r"\.[0-9a-f]{12}\.(js|css|svg)$", path), path
        asset = await server.get(path)
        assert (asset.status, asset.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
        plain = await server.get(re.sub(r"\.[0-9a-f]{12}\.", ".", path))
        assert (plain.status, plain.body) == (200, asset.body), path
        assert plain.headers["cache-control"] == "no-cache"
        again = await server.call("GET", path, headers={"If-None-Match": asset.headers["etag"]})
        assert (again.status, again.body) == (304, ""), path
    modules = {f"/assets/{file.name}" for file in PAGE.glob("*.js")}
    assert modules | {"/assets/socket.io.esm.min.js"} == imports.keys()
    for module in modules:  # what one imports has a line in the map: else its plain name would be fetched
        source = (PAGE / module.rpartition("/")[2]).read_text()
        for name in re.findall(r'(?:from|import) ?\(?"\./([^"]+)"', source):
            assert f"/assets/{name}" in imports, module


async def test_the_page_goes_compressed_to_who_takes_that(server: Server) -> None:
    tags = dict[bool, str]()
    for accepted, zipped in (
        ("gzip, deflate, br", True),
        ("GZIP;q=0.5", True),
        ("*", True),
        ("identity", False),
        ("gzip;q=0, *", False),
        ("gzip;q=nonsense", False),
    ):
        async with server.session.get(
            "/assets/signaling.js", headers={"Accept-Encoding": accepted}
        ) as answer:
            assert (answer.headers.get("content-encoding") == "gzip") is zipped, accepted
            assert "Accept-Encoding" in answer.headers.getall("vary")
            assert await answer.text() == (PAGE / "signaling.js").read_text()
            tags[zipped] = answer.headers["etag"]
    assert tags[True] != tags[False]
    head = await server.call("HEAD", "/")
    assert (head.status, head.body) == (200, "")


async def test_the_page_may_load_its_own_files_and_nothing_else(server: Server) -> None:
    """A script or style inside the page would need 'unsafe-inline', and there is none but the import map."""
    answer = await server.get("/")
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    digest = base64.b64encode(hashlib.sha256(import_map_in(answer.body).encode()).digest()).decode()
    assert policy["script-src"] == f"'self' 'sha256-{digest}'"
    assert policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    inside = answer.body.replace('<script type="importmap">', "")
    assert not re.search(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=|https?://", inside)


def import_map_in(page: str) -> str:
    found = re.search(r'<script type="importmap">(.*?)</script>', page)
    assert found is not None
    return found[1]


async def test_a_page_whose_client_is_not_installed_is_refused(tmp_path: Path) -> None:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    with pytest.raises(ClientMissingError, match=r"needs npm's socket\.io-client.*WEB_PAGE=false"):
        add_web_client(web.Application(), settings, tmp_path)
