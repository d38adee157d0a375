"""The settings as the operator gave them: each variable's value, where it comes from, and what is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from neuron_meet.settings import Settings, is_known_secret

NOT_SHOWN = "(set, not shown)"
LONGEST_SHOWN = 80
ALIKE = 0.85
"""From here on a name is taken for a misspelt variable of ours: `DATABSE_URL` is 0.95, `DATABASE_HOST` 0.75."""

UNIT_STOP_SECONDS = 60
"""TimeoutStopSec of deploy/systemd/neuron-meet.service; a test compares the two."""
STOP_SECONDS = 15
"""What a stop may take after the sockets are closed: rows and messages under way, the database, an embedded
PostgreSQL."""

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
    warnings = _misspelt({*environment, *file})
    if settings is not None:
        warnings += (sentence for look in _LOOKS for sentence in look(settings))
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
    if isinstance(value, tuple) and any(isinstance(part, SecretStr) for part in value):  # pyright: ignore[reportUnknownVariableType]
        return NOT_SHOWN
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


def _unnamed_proxies(settings: Settings) -> Iterator[str]:
    if settings.production and not settings.trusted_proxies:
        yield UNNAMED_PROXIES


def _known_secret(settings: Settings) -> Iterator[str]:
    """Production refuses it."""
    secret = settings.jwt_secret
    if secret is not None and is_known_secret(secret.get_secret_value()):
        yield (
            "JWT_SECRET is a known default: whoever reaches this server can sign in as anybody. Set another, for "
            "example from: openssl rand -base64 48"
        )


def _believed_by_all(settings: Settings) -> Iterator[str]:
    for network in settings.trusted_proxies:
        if network.prefixlen == 0:
            yield (
                f"TRUSTED_PROXIES has {network}, which is everybody: whoever connects may give any address as theirs, "
                "and no limit on addresses holds. Name the proxy's address alone, for example TRUSTED_PROXIES=127.0.0.1"
            )


def _no_front_end(settings: Settings) -> Iterator[str]:
    folder = settings.client_dist
    if folder is not None and not (folder / "index.html").is_file():
        found = "has no index.html" if folder.is_dir() else "is no folder"
        yield (
            f"CLIENT_DIST is {str(folder)!r}, which {found}: the server will not start. Name the folder of a built "
            "front end, or take CLIENT_DIST out, which serves the built-in page"
        )


def _half_a_relay(settings: Settings) -> Iterator[str]:
    if settings.turn_server_url:
        return
    for name, value in (
        ("TURN_SECRET", settings.turn_secret),
        ("TURN_SERVER_USERNAME", settings.turn_server_username),
        ("TURN_SERVER_PASSWORD", settings.turn_server_password),
    ):
        if value:
            yield (
                f"{name} is set, and TURN_SERVER_URL is not: members are given no relay. Set that as well, for example "
                f"TURN_SERVER_URL={example('turn_server_url')}, or take {name} out"
            )


def _only_a_pooler(settings: Settings) -> Iterator[str]:
    url = settings.database_url.get_secret_value() if settings.database_url else ""
    if "pgbouncer=true" in url.partition("?")[2].split("&") and settings.direct_url is None:
        yield (
            "DATABASE_URL says pgbouncer=true, and DIRECT_URL is not set: through a pooler in transaction mode the "
            "server does not start. Set DIRECT_URL to PostgreSQL itself, or to a pooler in session mode"
        )


def _direct_to_nothing(settings: Settings) -> Iterator[str]:
    if settings.direct_url is not None and settings.database_url is None:
        yield (
            "DIRECT_URL is set, and DATABASE_URL is not: it counts only beside that, and the embedded PostgreSQL is "
            "used. Set both, or neither"
        )


def _no_limits(settings: Settings) -> Iterator[str]:
    if settings.production and not settings.rate_limit_enabled:
        yield (
            "RATE_LIMIT_ENABLED is false in production: anybody may try passwords and fill the server as fast as they "
            "can. Take it out, and raise the single limit that is too low (LIMIT_…)"
        )


def _killed_while_draining(settings: Settings) -> Iterator[str]:
    if settings.drain_seconds > UNIT_STOP_SECONDS - STOP_SECONDS:
        yield (
            f"DRAIN_SECONDS is {settings.drain_seconds:g}, and the shipped unit kills the server after "
            f"{UNIT_STOP_SECONDS} s (Kubernetes and Docker sooner): give it {STOP_SECONDS} s more than DRAIN_SECONDS "
            "(TimeoutStopSec, terminationGracePeriodSeconds, stop_grace_period), or lower DRAIN_SECONDS"
        )


_LOOKS = (
    _unnamed_proxies,
    _believed_by_all,
    _known_secret,
    _no_front_end,
    _half_a_relay,
    _only_a_pooler,
    _direct_to_nothing,
    _no_limits,
    _killed_while_draining,
)
"""What a server starts with, or only fails at later, and is hardly meant."""


def _misspelt(names: set[str]) -> list[str]:
    known = list(Settings.model_fields)
    found = [(name, difflib.get_close_matches(name, known, 1, ALIKE)) for name in sorted(names - set(known))]
    return [
        f"{name.upper()} is no setting, and has no effect. Is {close[0].upper()} meant?"
        for name, close in found
        if close
    ]
