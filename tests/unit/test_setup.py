"""The set-up: what is done again and what is not, and its sentences."""

from __future__ import annotations

import ast
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = Path(__file__).parents[2]
BOOTSTRAP = PROJECT / "setup" / "bootstrap.py"


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module setup/steps.py, for an empty checkout in `tmp_path`."""
    monkeypatch.syspath_prepend(str(PROJECT / "setup"))
    import steps as module  # type: ignore[import-not-found]  # noqa: PLC0415

    (tmp_path / ".setup").mkdir()
    monkeypatch.setattr(module, "PROJECT", tmp_path)
    monkeypatch.setattr(module, "STAMPS", tmp_path / ".setup")
    monkeypatch.setattr(module, "PYTHON", Path(sys.executable))
    return module


class Counted:
    """A step that makes a file, and can be told to fail."""

    def __init__(self, steps: ModuleType, folder: Path) -> None:
        self.folder, self.times, self.fails = folder, 0, False
        (folder / "lock").write_text("1")
        self.step = steps.Step("thing", "Thing", ("lock",), folder / "thing", self.do)

    def do(self) -> None:
        self.times += 1
        if self.fails:
            raise OSError("no")
        (self.folder / "thing").touch()


def test_a_step_is_done_once(steps: ModuleType, tmp_path: Path) -> None:
    counted = Counted(steps, tmp_path)

    for _ in range(3):
        counted.step.run()

    assert counted.times == 1


def test_a_step_is_done_again_when_its_input_has_changed_or_its_result_is_gone(
    steps: ModuleType, tmp_path: Path
) -> None:
    counted = Counted(steps, tmp_path)
    counted.step.run()

    (tmp_path / "lock").write_text("2")
    counted.step.run()
    (tmp_path / "thing").unlink()
    counted.step.run()

    assert counted.times == 3


def test_a_step_that_failed_is_not_taken_for_done(steps: ModuleType, tmp_path: Path) -> None:
    counted = Counted(steps, tmp_path)
    counted.step.run()
    (tmp_path / "lock").write_text("2")
    counted.fails = True
    with pytest.raises(OSError, match="no"):
        counted.step.run()
    (tmp_path / "lock").write_text("1")  # what the older stamp was made of
    counted.fails = False

    assert not counted.step.is_done()


def test_the_bootstrap_is_readable_for_old_pythons() -> None:
    source = BOOTSTRAP.read_text()

    ast.parse(source, feature_version=(3, 4))
    assert not [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.JoinedStr | ast.AnnAssign)]


def test_an_old_python_is_told_apart(tmp_path: Path) -> None:
    program = (
        "import sys; sys.version_info = (3, 8, 1); sys.argv = ['bootstrap.py']; "
        f"exec(compile(open({str(BOOTSTRAP)!r}).read(), {str(BOOTSTRAP)!r}, 'exec'), "
        f"{{'__name__': '__main__', '__file__': {str(BOOTSTRAP)!r}}})"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 1
    assert told.stderr.startswith("Python 3.11 or newer is needed, and this is 3.8 (")
    assert "make PYTHON=" in told.stderr


def test_a_newer_python_is_found_by_name_and_one_that_does_not_run_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (
        ("python3.14", "#!/bin/sh\nexit 127\n"),
        ("python3.12", f'#!/bin/sh\nexec {sys.executable} "$@"\n'),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(PROJECT / "setup"))
    import bootstrap  # type: ignore[import-not-found]  # noqa: PLC0415

    assert bootstrap.newer_python() == sys.executable


def test_an_index_that_cannot_be_reached(
    steps: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")

    with pytest.raises(
        steps.SetupFailed, match=r"^the Python package index cannot be reached: .* run this again"
    ):
        steps._pip("download", "--no-deps", "--dest", str(tmp_path), "no-such-package-of-ours")


def test_a_package_that_does_not_exist_for_this_platform(
    steps: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(
        steps.SetupFailed, match=r"has no package for this Python and platform .*make PYTHON="
    ):
        steps._pip("download", "--no-deps", "--dest", str(tmp_path), "no-such-package-of-ours")


def test_npm_s_registry_that_cannot_be_reached(
    steps: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("package.json", "package-lock.json"):
        (tmp_path / name).write_text((PROJECT / name).read_text())
    (tmp_path / "neuron_meet").symlink_to(PROJECT / "neuron_meet")
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")

    with pytest.raises(steps.SetupFailed, match=r"^the npm registry cannot be reached"):
        steps._install_npm_packages()


def test_a_python_without_its_venv_module(
    steps: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's python3 without python3-venv says this, with exit code 1."""
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\necho 'ensurepip is not available'; exit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(steps.sys, "executable", str(python))
    monkeypatch.setattr(steps, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(steps, "PYTHON", tmp_path / ".venv" / "bin" / "python")

    with pytest.raises(steps.SetupFailed, match=r"apt-get install python3-venv"):
        steps._install_python_packages()


def test_no_node_and_no_wheel_for_it(steps: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_IGNORE_INSTALLED", "1")
    (steps.PROJECT / "requirements-node.lock").write_text((PROJECT / "requirements-node.lock").read_text())

    with pytest.raises(
        steps.SetupFailed, match=r"no Node.js 20 or newer on PATH.*install Node.js with the system's"
    ):
        steps._install_node()


def test_only_one_set_up_at_a_time(steps: ModuleType, tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path[:0] = [{str(PROJECT)!r}, {str(PROJECT / 'setup')!r}]; import steps, pathlib; "
        f"steps.STAMPS = pathlib.Path({str(tmp_path / '.setup')!r})\n"
        "with steps.alone(): print('-- alone', flush=True)"
    )
    with steps.alone():
        other = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "-- Waiting for another set-up of this checkout\n"
        assert other.poll() is None

    assert other.communicate(timeout=20)[0] == "-- alone\n"
    assert other.returncode == 0


def test_a_command_that_outlives_a_set_up_holds_its_lock(steps: ModuleType, tmp_path: Path) -> None:
    with steps.alone():
        orphan = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, close_fds=False)
    with (tmp_path / ".setup" / "lock").open("w") as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        orphan.communicate(timeout=20)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(
    "name", ["requirements.lock", "requirements-node.lock", "requirements-supply.lock", "package-lock.json"]
)
def test_lock_files_name_no_address(name: str) -> None:
    text = (PROJECT / name).read_text()

    assert "index-url" not in text
    assert "--find-links" not in text
    assert '"resolved"' not in text
