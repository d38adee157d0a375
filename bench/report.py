"""A run as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.contenders import FLOOR, NODE, OURS
from bench.failure import BenchFailed
from bench.results import Figures, Results

BEGIN, END = "<!-- make bench writes from here -->", "<!-- to here -->"
THREE_DIGITS = 100
HEAD = ("", "ours", "Node", "ours/Node", "floor", "ours/floor", "goal (issue 5)")


def document(results: Results, facts: dict[str, Any]) -> dict[str, Any]:
    """The run as JSON."""
    return facts | {"lines": [figures.as_json() for figures in results.figures]}


def table(results: Results) -> list[tuple[str, ...]]:
    """Rows of texts, without those that only explain others."""
    return [HEAD, *(_texts(figures) for figures in results.figures if not figures.line.detail)]


def plain(rows: Iterable[tuple[str, ...]]) -> str:
    """The table for a terminal."""
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "\n".join("  ".join(_padded(row, widths)) for row in rows)


def _padded(row: tuple[str, ...], widths: list[int]) -> list[str]:
    title, *figures = (text.rjust(width) for text, width in zip(row, widths, strict=True))
    return [title.strip().ljust(widths[0]), *figures]


def write_documents(folder: Path, results: Results, facts: dict[str, Any]) -> None:
    """Put the run into performance.md, between its two marks, and performance.json. Raises BenchFailed."""
    file = folder / "performance.md"
    text = file.read_text()
    if BEGIN not in text or END not in text:
        raise BenchFailed(
            f"docs/{file.name} lacks the lines that say where the figures go: {BEGIN} and {END}"
        )
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    file.write_text(f"{head}{BEGIN}\n\n{_markdown(results, facts)}\n\n{END}{tail}")
    (folder / "performance.json").write_text(as_text(document(results, facts)))


def as_text(run: dict[str, Any]) -> str:
    """JSON with the figures rounded to what is worth reading, each line of the table in a line of its own."""
    facts = json.dumps(
        {name: value for name, value in run.items() if name != "lines"}, indent=1, ensure_ascii=False
    )
    lines = ",\n  ".join(json.dumps(_rounded(line), ensure_ascii=False) for line in run["lines"])
    return f'{facts[:-2]},\n "lines": [\n  {lines}\n ]\n}}\n'


def _markdown(results: Results, facts: dict[str, Any]) -> str:
    rows = table(results)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---" + "|---:" * (len(HEAD) - 2) + "|---|")
    machine = facts["machine"]
    where = (
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gb']} GB, {machine['system']}"
    )
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    return "\n".join(
        (
            f"{facts['date']}, measured rounds: {facts['rounds']}; {where}. Other programs took "
            f"{facts['disturbance']:.0%} of the machine meanwhile.",
            "",
            *lines,
            "",
            f"Versions: {versions}.",
        )
    )


def _texts(figures: Figures) -> tuple[str, ...]:
    unit = f", {figures.line.unit}" if figures.line.unit else ""
    return (
        figures.line.title + unit,
        _number(figures.value(OURS)),
        _number(figures.value(NODE)),
        _ratio(figures.ratio(NODE)),
        _number(figures.value(FLOOR)),
        _ratio(figures.ratio(FLOOR)),
        figures.verdict,
    )


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= THREE_DIGITS else f"{value:.3g}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}  # type: ignore[reportUnknownVariableType]
    return [_rounded(entry) for entry in value] if isinstance(value, list) else value  # type: ignore[reportUnknownVariableType]
