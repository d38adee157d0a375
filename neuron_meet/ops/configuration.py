"""The settings as the operator gave them: each variable's value, where it comes from, and what is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from neuron_meet.settings import Settings, is_known_secret

NOT_SHOWN = "(set, not shown)"
LONGEST_SHOWN = 80
ALIKE = 0.85
"""From here on a name is taken for a misspelt variable of ours: `DATABSE_URL` is 0.95, `DATABASE_HOST` 0.75."""

UNNAMED_PROXIES = (
    "TRUSTED_PROXIES is not set: behind a proxy all clients share one address and its limits. Name the proxy's address "
    "there; nothing is to be done where clients connect to this server itself."
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A variable: its value as one would write it (secrets masked), and whether that is the environment's."""

    name: str
    value: str
    source: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Configuration:
    """What was read: the settings (None where they cannot be used), each variable, and all problems as sentences."""

    settings: Settings | None
    entries: list[Entry]
    problems: list[str]
    warnings: list[str]


def read_configuration(given: Mapping[str, Any] | None = None) -> Configuration:
    """Read environment and `.env`; `given` goes before both (options of the command line). Never raises."""
    given = dict(given or {})
    try:
        environment = _texts(EnvSettingsSource(Settings).env_vars)
        file = _texts(DotEnvSettingsSource(Settings).env_vars)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        return Configuration(None, [], [f".env cannot be read: {reason}. Mend it, or remove it."], [])
    settings, broken, together = _read(given)
    raw = file | environment | {name: str(value) for name, value in given.items()}
    entries = [
        _entry(
            name,
            settings,
            raw,
            source=_source(name, given, environment, file),
            problem=broken.get(name),
        )
        for name in Settings.model_fields
    ]
    problems = [_sentence(name, raw.get(name), problem) for name, problem in broken.items()]
    warnings = [*_misspelt({*environment, *file}), *_unnamed_proxies(settings), *_known_secret(settings)]
    return Configuration(settings, entries, [*problems, *together], warnings)


def effective(settings: Settings) -> dict[str, str]:
    """The settings in force by variable, as one would write them, secrets masked."""
    return {name.upper(): _shown(getattr(settings, name)) for name in Settings.model_fields}


def example(name: str) -> str:
    """A usable value of a variable, as one would write it."""
    field = Settings.model_fields[name]
    if field.examples:
        return str(field.examples[0])
    return _shown(field.get_default(call_default_factory=True))


def _read(given: dict[str, Any]) -> tuple[Settings | None, dict[str, str], list[str]]:
    """The settings, the problems by field, and those of rules about several."""
    try:
        return Settings(**given), {}, []
    except ValidationError as error:
        broken: dict[str, str] = {}
        together: list[str] = []
        for problem in error.errors(include_url=False, include_context=False):
            text = problem["msg"].removeprefix("Value error, ")
            if problem["loc"]:
                broken.setdefault(str(problem["loc"][0]).lower(), text)
            else:
                together += text.splitlines()
    if broken and not together:
        # Rules about several settings are not looked at while one is broken: look, with that one as if not given.
        mended = {name: Settings.model_fields[name].get_default() for name in broken}
        try:
            Settings(**(given | mended))
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_context=False):
                together += problem["msg"].removeprefix("Value error, ").splitlines()
        together = [line for line in together if not any(name.upper() in line for name in broken)]
    return None, broken, together


def _sentence(name: str, raw: str | None, problem: str) -> str:
    value = "" if raw is None or _is_secret(name) else f" is {_cut(raw)!r}, which cannot be used"
    return f"{name.upper()}{value}: {problem}. For example: {name.upper()}={example(name)}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _entry(
    name: str, settings: Settings | None, raw: Mapping[str, str], *, source: str, problem: str | None
) -> Entry:
    if settings is not None:
        return Entry(name.upper(), _shown(getattr(settings, name)), source)
    if name not in raw:
        value = _shown(Settings.model_fields[name].get_default())
        return Entry(name.upper(), value, source, problem)
    return Entry(name.upper(), NOT_SHOWN if _is_secret(name) else raw[name], source, problem)


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return "(a known one, not shown)" if is_known_secret(value.get_secret_value()) else NOT_SHOWN
    if value is None or value in ("", ()):
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_secret(name: str) -> bool:
    return "Secret" in str(Settings.model_fields[name].annotation) if name in Settings.model_fields else True


def _texts(variables: Mapping[str, str | None]) -> dict[str, str]:
    return {name.lower(): value for name, value in variables.items() if value}


def _source(name: str, given: Mapping[str, Any], *sources: Mapping[str, str]) -> str:
    if name in given:
        return "option"
    return next(
        (said for said, source in zip(("environment", ".env"), sources, strict=True) if name in source),
        "default",
    )


def _unnamed_proxies(settings: Settings | None) -> list[str]:
    if settings is None or not settings.production or settings.trusted_proxies:
        return []
    return [UNNAMED_PROXIES]


def _known_secret(settings: Settings | None) -> list[str]:
    """Production refuses it."""
    secret = settings and settings.jwt_secret
    if secret is None or not is_known_secret(secret.get_secret_value()):
        return []
    return [
        "JWT_SECRET is a known default: whoever reaches this server can sign in as anybody. Set another, for example "
        "from: openssl rand -base64 48"
    ]


def _misspelt(names: set[str]) -> list[str]:
    known = list(Settings.model_fields)
    found = [(name, difflib.get_close_matches(name, known, 1, ALIKE)) for name in sorted(names - set(known))]
    return [
        f"{name.upper()} is no setting, and has no effect. Is {close[0].upper()} meant?"
        for name, close in found
        if close
    ]
