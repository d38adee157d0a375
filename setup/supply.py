"""`make licences`, `make sbom`, `make audit`: what is in it, under which licences, and what is known against it.

The tools for bills of materials and audits are in an environment of their own (.setup/supply), pinned with hashes in
requirements-supply.lock: a server and its tests need none of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from neuron_meet.store.node import find_npm
from setup.locked import PROJECT, PYTHON_LOCKS, Package, npm_packages, python_packages, serving_requirements

LICENCES = PROJECT / "docs" / "licences.md"
TOOLS = PROJECT / ".setup" / "supply"
TOOLS_LOCK = PROJECT / "requirements-supply.lock"
FOUND, UNREACHABLE = 1, 3
"""Exit codes of an audit: vulnerabilities are known; it is not known, because nobody could be asked."""
ANSWER_SECONDS = 300


def licences() -> str:
    """The licence list as a document."""
    python, npm = python_packages(), npm_packages()
    parts = [
        "# Licences\n\nEach package that the lock files pin, and its licence as the package itself says (SPDX). "
        "Written by `make licences`; a\ntest compares it with the lock files.\n"
    ]
    for title, packages in (
        ("Python, in a server (its extras among them)", [each for each in python if each.serves]),
        ("npm, in a server, or for its `db` commands and page", [each for each in npm if each.serves]),
        ("Python, for working on it", [each for each in python if not each.serves]),
        ("npm, for working on it", [each for each in npm if not each.serves]),
    ):
        rows = "".join(f"| {each.name} | {each.version} | {each.licence} |\n" for each in packages)
        parts.append(f"\n## {title}\n\n| package | version | licence |\n| --- | --- | --- |\n{rows}")
    return "".join(parts)


def sbom(folder: Path) -> list[Path]:
    """Write bills of materials (CycloneDX, JSON) of what a server runs with: one of Python's, one of npm's packages.

    Raises RuntimeError where one of them is not what the lock files say.
    """
    folder.mkdir(parents=True, exist_ok=True)
    python, npm = folder / "python.cdx.json", folder / "npm.cdx.json"
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
        wanted.write(serving_requirements())
        wanted.flush()
        _run(
            [
                *(_tool("cyclonedx-py"), "requirements", wanted.name, "--pyproject", "pyproject.toml"),
                *("--output-reproducible", "--validate", "-o", str(python)),
            ]
        )
    done = _run([*find_npm(), "sbom", "--sbom-format", "cyclonedx", "--package-lock-only"])
    npm.write_text(_serving(json.loads(done.stdout)))
    for file, packages in ((python, python_packages()), (npm, npm_packages())):
        _compare(file, [each for each in packages if each.serves])
    return [python, npm]


def _serving(bill: dict[str, Any]) -> str:
    """npm's bill without what is for working on the program. Its own `--omit dev` (11.19) leaves others out too."""
    serving = {(each.name, each.version) for each in npm_packages() if each.serves}
    bill["components"] = [each for each in bill["components"] if (each["name"], each["version"]) in serving]
    bill["metadata"]["component"]["name"] = "neuron-meet"  # npm says the folder's
    left = {each["bom-ref"] for each in [*bill["components"], bill["metadata"]["component"]]}
    bill["dependencies"] = [
        each | {"dependsOn": [ref for ref in each["dependsOn"] if ref in left]}
        for each in bill["dependencies"]
        if each["ref"] in left
    ]
    return json.dumps(bill, indent=1)


def audit_python(lock: str) -> tuple[int, str]:
    """What PyPI's advisories say of a Python lock file: exit code, and sentences."""
    done = _run(
        [
            *(_tool("pip-audit"), "--disable-pip", "--require-hashes", "-r", lock),
            *("--format", "json", "--progress-spinner", "off"),
        ],
        may_fail=True,
    )
    return judge_python(lock, done.stdout, _last_line(done.stderr))


def judge_python(lock: str, answer: str, reason: str) -> tuple[int, str]:
    """What pip-audit's answer comes to; `reason`: what it said where there is none."""
    try:
        packages: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    except (ValueError, KeyError):
        return UNREACHABLE, f"Python: the advisories cannot be asked. {reason}"
    if known := [(each, vuln) for each in packages for vuln in each.get("vulns", [])]:
        return FOUND, "\n".join(
            f"Python: {each['name']} {each['version']} of {lock}: {vuln['id']}, mended in "
            f"{', '.join(vuln['fix_versions']) or 'no version'}"
            for each, vuln in known
        )
    if skipped := [each["name"] for each in packages if "skip_reason" in each]:
        # pip-audit takes a package of which its index says nothing for one without advisories.
        return UNREACHABLE, (
            f"Python: nothing is said of {len(skipped)} of {len(packages)} packages of {lock} ({skipped[0]}, …): "
            "the advisories cannot be asked (a mirror of PyPI need not have them)."
        )
    return 0, f"Python: nothing is known against the {len(packages)} packages of {lock}."


def audit_npm() -> tuple[int, str]:
    """What npm's advisories say of package-lock.json: exit code, and sentences."""
    done = _run([*find_npm(), "audit", "--json", "--package-lock-only"], may_fail=True)
    answer: dict[str, Any] = {}
    try:
        answer = json.loads(done.stdout)
        known: dict[str, Any] = answer["vulnerabilities"]
    except (ValueError, KeyError):
        reason = answer.get("message") or answer.get("error", {}).get("summary", "")
        return UNREACHABLE, f"npm: the advisories cannot be asked. {reason}"
    if known:
        return FOUND, "\n".join(
            f"npm: {name} ({each['severity']}): {each['range']}" for name, each in known.items()
        )
    return 0, f"npm: nothing is known against the {answer['metadata']['dependencies']['total']} packages."


def audit(*, if_reachable: bool) -> int:
    """Say what is known against what the lock files pin. The exit code: 0, FOUND or UNREACHABLE.

    `if_reachable`: that nobody could be asked is said, and is no failure.
    """
    codes: list[int] = []
    for ask in [*(partial(audit_python, lock) for lock in (*PYTHON_LOCKS, TOOLS_LOCK.name)), audit_npm]:
        code, said = ask()
        codes.append(code)
        print(said)
    if FOUND in codes:
        return FOUND
    if UNREACHABLE in codes:
        print("Not audited: try again from where the advisories can be reached.", file=sys.stderr)
        return 0 if if_reachable else UNREACHABLE
    return 0


def _compare(file: Path, packages: Sequence[Package]) -> None:
    bill = {(each["name"], each["version"]) for each in json.loads(file.read_text())["components"]}
    pinned = {(each.name, each.version) for each in packages}
    if bill != pinned:
        raise RuntimeError(f"{file.name} differs from the lock files: {sorted(bill ^ pinned)}")


def _tool(name: str) -> str:
    """A program of the tools' environment, which is made where it is not there or not as pinned."""
    stamp = TOOLS / "made-from"
    pinned = TOOLS_LOCK.read_text()
    if not stamp.is_file() or stamp.read_text() != pinned:
        print("-- Tools for bills of materials and audits, from requirements-supply.lock", flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(TOOLS)])
        pip = (str(TOOLS / "bin" / "pip"), "--disable-pip-version-check")
        _run([*pip, "install", "--quiet", "--require-hashes", "-r", TOOLS_LOCK.name])
        stamp.write_text(pinned)
    return str(TOOLS / "bin" / name)


def _run(command: list[str], *, may_fail: bool = False) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(  # noqa: S603 - commands of this file
        command, cwd=PROJECT, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
    )
    if done.returncode and not may_fail:
        raise RuntimeError(f"{Path(command[0]).name} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def main() -> int:
    """The exit code of what the command line wants."""
    parser = argparse.ArgumentParser(prog="python -m setup.supply")
    parser.add_argument("what", choices=("licences", "sbom", "audit"))
    parser.add_argument("--if-reachable", action="store_true", help="no failure where nobody can be asked")
    given = parser.parse_args()
    if given.what == "audit":
        return audit(if_reachable=given.if_reachable)
    if given.what == "sbom":
        for file in sbom(PROJECT / "dist" / "sbom"):
            print(file.relative_to(PROJECT))
        return 0
    LICENCES.write_text(licences())
    return 0


if __name__ == "__main__":
    sys.exit(main())
