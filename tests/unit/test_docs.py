"""What the documents say, compared with the code: settings, events, texts, routes, dependencies, names of files.

`.venv/bin/python -m tests.unit.test_docs` writes the generated tables into the documents.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from neuron_meet import errors
from neuron_meet.auth.routes import auth_routes
from neuron_meet.chat.routes import chat_routes
from neuron_meet.cli import main
from neuron_meet.errors import Refusal
from neuron_meet.ice.routes import ice_routes
from neuron_meet.ops.health import Health
from neuron_meet.rest.routing import Route
from neuron_meet.rooms.routes import rooms_routes
from neuron_meet.settings import Settings
from neuron_meet.signaling.commands import commands
from neuron_meet.signaling.events import CLIENT_EVENTS, SERVER_EVENTS
from neuron_meet.users.routes import users_routes

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENTS = [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *sorted((PROJECT / "docs").glob("*.md"))]
WRITE = ".venv/bin/python -m tests.unit.test_docs"

CODE_SPAN = re.compile(r"`([^`\n]+)`")
PLACE = re.compile(r"([\w./-]+\.(?:py|mjs)):(\w+(?:\.\w+)?)")


def read(name: str) -> str:
    return (PROJECT / name).read_text()


def section(text: str, name: str) -> str:
    """What stands between the comments `<!-- name -->` and `<!-- /name -->`."""
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert found is not None, f"there is no <!-- {name} --> … <!-- /{name} -->"
    return found[1]


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def cells(markdown: str) -> list[list[str]]:
    """The rows of a table without its head."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


# -- generated
def shown(value: object) -> str:
    """A setting's default as one would write it into the environment."""
    if value is None or value in ("", ()):
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def settings_table() -> str:
    return table(
        ("variable", "default", "meaning"),
        [
            (f"`{name.upper()}`", shown(field.default), str(field.description))
            for name, field in Settings.model_fields.items()
        ],
    )


def events_table() -> str:
    settings = Settings.model_construct()
    declared = commands(
        max_message_length=settings.max_message_length, max_sdp_bytes=settings.max_payload_bytes
    )
    return table(
        ("event", "largest payload, bytes of JSON", "order", "limit"),
        [
            (
                f"`{name}`",
                f"{command.max_bytes:,}",
                command.order.value,
                f"`LIMIT_{command.pace.value.upper()}`",
            )
            for name, command in declared.items()
        ],
    )


GENERATED = {("README.md", "settings"): settings_table, ("docs/protocol.md", "limits"): events_table}


@pytest.mark.parametrize(("document", "name"), GENERATED)
def test_generated_tables_are_current(document: str, name: str) -> None:
    assert section(read(document), name) == GENERATED[document, name](), f"run: {WRITE}"


# -- written by hand
def test_every_setting_has_an_effect() -> None:
    """Some code reads it: nobody relies on one that does nothing."""
    code = {path: path.read_text() for path in (PROJECT / "neuron_meet").rglob("*.py")}
    own = code.pop(PROJECT / "neuron_meet" / "settings.py")
    rest = "\n".join(text for path, text in code.items() if "generated" not in path.parts)
    unused = {
        name.upper()
        for name in Settings.model_fields
        if not re.search(rf"settings\.{name}\b", rest) and not re.search(rf"self\.{name}\b", own)
    }
    assert unused == set()


def test_every_text_of_the_wire_is_documented_and_no_other() -> None:
    texts = {value.message for value in vars(errors).values() if isinstance(value, Refusal)}
    texts |= {errors.TAKEN_OVER, errors.REMOVED_BY_HOST, errors.ENDED_BY_HOST}
    texts |= {errors.REMOVED_BY_OPERATOR, errors.ENDED_BY_OPERATOR}
    assert {row[0].strip("`") for row in cells(section(read("docs/protocol.md"), "texts"))} == texts


def test_every_event_and_field_is_documented() -> None:
    protocol = read("docs/protocol.md")
    missing: list[str] = []
    for event in [*CLIENT_EVENTS.values(), *SERVER_EVENTS.values()]:
        mentions = [
            span for span in CODE_SPAN.findall(protocol) if re.match(rf"{event.event}(?![\w-])", span)
        ]
        fields = [field.encode_name for field in msgspec.structs.fields(event)]
        if not any(all(re.search(rf"\b{field}\b", span) for field in fields) for span in mentions):
            missing.append(f"{event.event} {{ {', '.join(fields)} }}")
    assert missing == []


def declared_by(factory: Callable[..., list[Route[Any]]]) -> list[Route[Any]]:
    """The routes of a part. Declaring them calls none of their services, so there need not be any."""
    return factory(*(None for _ in inspect.signature(factory).parameters))


def test_every_route_is_documented_and_no_other() -> None:
    factories = (auth_routes, rooms_routes, chat_routes, users_routes, ice_routes)
    routes = [*Health("0", {}).routes(), *(route for factory in factories for route in declared_by(factory))]
    declared = {f"{route.method} {route.path.rstrip('/')}" for route in routes}
    documented = [row[0] for row in cells(section(read("docs/protocol.md"), "routes"))]
    assert {" ".join(row.split("`")[1].split()[:2]) for row in documented} == declared


def test_every_dependency_has_its_reason_and_no_other() -> None:
    project = tomllib.loads(read("pyproject.toml"))
    python = [
        *project["project"]["dependencies"],
        *(name for extra in project["project"]["optional-dependencies"].values() for name in extra),
        *(name for group in project["dependency-groups"].values() for name in group),
        *project["build-system"]["requires"],
    ]
    npm = json.loads(read("package.json"))
    declared = {re.split(r"[<>=; ]", entry)[0] for entry in python}
    declared |= {*npm["dependencies"], *npm["devDependencies"]}
    rows = cells(section(read("docs/architecture.md"), "dependencies"))
    assert {name for row in rows for name in CODE_SPAN.findall(row[0])} == declared
    assert all(row[1] for row in rows)


def names_in(path: Path) -> set[str]:
    """The functions, classes (with their methods) and constants of a Python file; for others, every word."""
    if path.suffix != ".py":
        return set(re.findall(r"\w+", path.read_text()))
    names: set[str] = set()
    # In a thread of its own: CPython 3.11's parser breaks where hypothesis has moved the recursion limit (SystemError).
    with ThreadPoolExecutor(1) as fresh:
        tree = fresh.submit(ast.parse, path.read_text()).result()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{each.name}"
                for each in node.body
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            }
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_code_that_a_document_names_exists(document: Path) -> None:
    """`file.py:name` is a function, class or method of that file (below neuron_meet/ or the project's top)."""
    wrong: list[str] = []
    for span in CODE_SPAN.findall(document.read_text()):
        if not (place := PLACE.fullmatch(span)):
            continue
        path = next(
            (top / place[1] for top in (PROJECT / "neuron_meet", PROJECT) if (top / place[1]).is_file()), None
        )
        if path is None or place[2] not in names_in(path):
            wrong.append(span)
    assert wrong == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_a_document_names_exist(document: Path) -> None:
    text = document.read_text()
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)", text)
    missing = [link for link in links if not (document.parent / link).exists()]
    paths = re.findall(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|mjs|toml|lock|prisma|json))`", text)
    tops = (PROJECT, PROJECT / "neuron_meet", *(PROJECT / "neuron_meet").glob("*/"))
    made = {
        "neuron_meet/store/generated/",
        "node_modules/",
        ".venv/",
        ".setup/",
        ".neuron-meet/",
        "dist/",
        "dist/sbom/",
    }
    missing += [path for path in paths if path not in made and not any((top / path).exists() for top in tops)]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_that_a_document_names_exist(document: Path) -> None:
    text = document.read_text()
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE))
    assert named - targets == set()
    for words in re.findall(r"neuron-meet ((?:db )?[a-z]+)(?=[`\n]| [-\[#])", text):
        command: click.Command = main
        for word in words.split():
            assert isinstance(command, click.Group)
            assert word in command.commands, f"neuron-meet {words}"
            command = command.commands[word]


if __name__ == "__main__":
    for (file, part), generate in GENERATED.items():
        before, after = f"<!-- {part} -->\n", f"<!-- /{part} -->"
        head, _, rest = read(file).partition(before)
        (PROJECT / file).write_text(head + before + generate() + after + rest.partition(after)[2])
