"""`check-config` and every command's start, against broken configurations: a sentence for each problem, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neuron_meet.cli import main
from neuron_meet.jwt_secret import with_secret
from neuron_meet.ops.configuration import UNIT_STOP_SECONDS, example, read_configuration
from neuron_meet.settings import Settings

SECRET = "do-not-show-this-secret-in-any-output"
TOKENLESS = (
    "ADMIN_TOKEN is missing: ADMIN_HOST '{}' can be reached from elsewhere. "
    "Set one, for example from: openssl rand -base64 48; or ADMIN_HOST=127.0.0.1"
)
NUMBER = "Input should be a valid integer, unable to parse string as an integer"
RATE = "must be a rate such as: 20 per 5 seconds, 10/minute, 600 per hour"
POSTGRES = "postgresql://user:password@host:5432/name"

BROKEN: list[tuple[dict[str, str], list[str]]] = [
    (
        {"ADMIN_PORT": "3001"},
        [
            "ADMIN_PORT is 3001, and so is PORT: the admin address needs a port of its own. "
            "Set another, for example ADMIN_PORT=9464"
        ],
    ),
    ({"PORT": "http"}, [f"PORT is 'http', which cannot be used: {NUMBER}. For example: PORT=3001"]),
    (
        {"PORT": "99999"},
        [
            "PORT is '99999', which cannot be used: Input should be less than or equal to 65535. "
            "For example: PORT=3001"
        ],
    ),
    (
        {"NODE_ENV": "prod"},
        [
            "NODE_ENV is 'prod', which cannot be used: Input should be 'development', 'production' or 'test'. "
            "For example: NODE_ENV=development"
        ],
    ),
    (
        {"HOST": "http://0.0.0.0"},
        [
            "HOST is 'http://0.0.0.0', which cannot be used: must be an address or a name alone, without scheme or "
            "port. For example: HOST=0.0.0.0"
        ],
    ),
    (
        {"CORS_ORIGINS": "meet.example.com"},
        [
            "CORS_ORIGINS is 'meet.example.com', which cannot be used: 'meet.example.com' is no origin: scheme and "
            "host, without a path. For example: CORS_ORIGINS=https://meet.example.com,https://staging.example.com"
        ],
    ),
    (
        {"CORS_ORIGINS": "https://meet.example.com/app"},
        [
            "CORS_ORIGINS is 'https://meet.example.com/app', which cannot be used: 'https://meet.example.com/app' is "
            "no origin: scheme and host, without a path. "
            "For example: CORS_ORIGINS=https://meet.example.com,https://staging.example.com"
        ],
    ),
    (
        {"CORS_ORIGINS": "https://*.com"},
        [
            "CORS_ORIGINS is 'https://*.com', which cannot be used: 'https://*.com' allows a whole top-level domain: "
            "at least https://*.example.com. "
            "For example: CORS_ORIGINS=https://meet.example.com,https://staging.example.com"
        ],
    ),
    (
        {"CORS_ORIGINS": "wss://meet.example.com"},
        [
            "CORS_ORIGINS is 'wss://meet.example.com', which cannot be used: 'wss://meet.example.com' is no page's "
            "origin: name the page, which begins with http:// or https://. "
            "For example: CORS_ORIGINS=https://meet.example.com,https://staging.example.com"
        ],
    ),
    (
        {"TRUSTED_PROXIES": "10.0.0.0/99"},
        [
            "TRUSTED_PROXIES is '10.0.0.0/99', which cannot be used: '10.0.0.0/99' does not appear to be an IPv4 or "
            "IPv6 network. For example: TRUSTED_PROXIES=127.0.0.1,10.0.0.0/8"
        ],
    ),
    (
        {"DATABASE_URL": f"mysql://root:{SECRET}@host/db"},
        [f"DATABASE_URL: must start with postgresql://. For example: DATABASE_URL={POSTGRES}"],
    ),
    (
        {"DIRECT_URL": f"https://{SECRET}/"},
        [f"DIRECT_URL: must start with postgresql://. For example: DIRECT_URL={POSTGRES}"],
    ),
    (
        {"REDIS_URL": f"http://:{SECRET}@host:6379"},
        [
            "REDIS_URL: must start with redis://, rediss://, unix://, redis+cluster:// or rediss+cluster://. "
            "For example: REDIS_URL=redis://:password@redis.example.com:6379/0"
        ],
    ),
    (
        {"DATABASE_POOL_SIZE": "0"},
        [
            "DATABASE_POOL_SIZE is '0', which cannot be used: Input should be greater than or equal to 1. "
            "For example: DATABASE_POOL_SIZE=10"
        ],
    ),
    (
        {"DATABASE_TIMEOUT_SECONDS": "never"},
        [
            "DATABASE_TIMEOUT_SECONDS is 'never', which cannot be used: Input should be a valid number, unable to "
            "parse string as a number. For example: DATABASE_TIMEOUT_SECONDS=5"
        ],
    ),
    (
        {"NODE_ENV": "production"},
        [
            "JWT_SECRET is missing or a known default: anybody could issue tokens. Set one of at least 32 bytes, "
            "for example from: openssl rand -base64 48"
        ],
    ),
    (
        {"REDIS_URL": "redis://127.0.0.1:1"},
        [
            "JWT_SECRET is missing: with REDIS_URL all servers must be given the same one. Set it, for example from: "
            "openssl rand -base64 48"
        ],
    ),
    (
        {"NODE_ENV": "production", "JWT_SECRET": SECRET[:20]},
        [
            "JWT_SECRET is shorter than 32 bytes, which can be guessed. Set a longer one, for example from: "
            "openssl rand -base64 48"
        ],
    ),
    (
        {"NODE_ENV": "production", "JWT_SECRET": SECRET, "JWT_SECRET_PREVIOUS": f"{SECRET}x,secret"},
        [
            "JWT_SECRET_PREVIOUS holds a known default, or one shorter than 32 bytes: with it anybody could still "
            "issue tokens. Take it out: everybody signs in anew"
        ],
    ),
    (
        {"JWT_SECRET_PREVIOUS": SECRET, "ADMIN_TOKEN_PREVIOUS": SECRET[:20]},
        [
            "ADMIN_TOKEN_PREVIOUS holds one shorter than 32 bytes, which can be guessed. Take it out",
            "JWT_SECRET_PREVIOUS is set, and JWT_SECRET is not: it counts only beside that. Set both, or neither",
            "ADMIN_TOKEN_PREVIOUS is set, and ADMIN_TOKEN is not: it counts only beside that. Set both, or neither",
        ],
    ),
    (
        {"JWT_SECRET": SECRET, "JWT_SECRET_PREVIOUS": ",".join([SECRET] * 5)},
        [
            "JWT_SECRET_PREVIOUS: must be at most 4 secrets, separated by commas. For example: "
            "JWT_SECRET_PREVIOUS=the value that JWT_SECRET had until now"
        ],
    ),
    (
        {"JWT_EXPIRES_IN": "tomorrow"},
        [
            "JWT_EXPIRES_IN is 'tomorrow', which cannot be used: must be a duration of at least a second, such as "
            "7d, 12h or 3600. For example: JWT_EXPIRES_IN=7d"
        ],
    ),
    (
        {"LIMIT_CHAT": "lots"},
        [f"LIMIT_CHAT is 'lots', which cannot be used: {RATE}. For example: LIMIT_CHAT=15 per 5 seconds"],
    ),
    (
        {"WEB_PAGE": "perhaps"},
        [
            "WEB_PAGE is 'perhaps', which cannot be used: Input should be a valid boolean, unable to interpret "
            "input. For example: WEB_PAGE=true"
        ],
    ),
    (
        {"STUN_URLS": "stun.example.org"},
        [
            "STUN_URLS is 'stun.example.org', which cannot be used: must start with stun: or stuns:. "
            "For example: STUN_URLS=stun:stun.example.org:3478"
        ],
    ),
    (
        {"TURN_SERVER_URL": "https://turn.example.org"},
        [
            "TURN_SERVER_URL is 'https://turn.example.org', which cannot be used: must start with turn: or turns:. "
            "For example: TURN_SERVER_URL=turn:turn.example.org:3478"
        ],
    ),
    (
        {"LOG_LEVEL": "loud"},
        [
            "LOG_LEVEL is 'loud', which cannot be used: Input should be 'debug', 'info', 'warning' or 'error'. "
            "For example: LOG_LEVEL=info"
        ],
    ),
    ({"ADMIN_PORT": "9464", "ADMIN_HOST": "0.0.0.0"}, [TOKENLESS.format("0.0.0.0")]),
    (
        {"ADMIN_PORT": "9464", "ADMIN_TOKEN": SECRET[:20]},
        [
            "ADMIN_TOKEN is shorter than 32 bytes, which can be guessed. Set a longer one, for example from: "
            "openssl rand -base64 48"
        ],
    ),
    (
        {"ADMIN_UI_USERNAME": "operator", "ADMIN_PORT": "9464"},
        [
            "ADMIN_UI_PASSWORD_HASH is missing: Socket.IO's Admin UI asks for a name and a password. "
            "Set both, or neither",
            "ADMIN_UI_USERNAME needs ADMIN_PORT and ADMIN_TOKEN: the Admin UI is at the admin address",
        ],
    ),
    (
        {"ADMIN_UI_PASSWORD_HASH": SECRET},
        [
            "ADMIN_UI_PASSWORD_HASH: must be a bcrypt hash, which begins with $2b$ or $2y$ and has 60 characters. "
            "For example: ADMIN_UI_PASSWORD_HASH=$2b$10$9O9zO8q1GIBf3L.81gM/neqSByBRoE4RAYW1Aw0DyNU9BYFuKMSuu",
        ],
    ),
    (
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
        [
            "OTEL_EXPORTER_OTLP_ENDPOINT is 'collector:4318', which cannot be used: must be http://host:port or "
            "https://…, without a password (that is for OTEL_EXPORTER_OTLP_HEADERS). "
            "For example: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318",
        ],
    ),
    (
        {"MAX_MESSAGE_LENGTH": "40001"},
        [
            "MAX_MESSAGE_LENGTH is '40001', which cannot be used: Input should be less than or equal to 40000. "
            "For example: MAX_MESSAGE_LENGTH=4000",
        ],
    ),
    (  # everything at once: those that one variable can tell first, then the rules about several
        {
            "PORT": "x",
            "NODE_ENV": "production",
            "ADMIN_PORT": "9464",
            "ADMIN_HOST": "::",
            "MAX_PAYLOAD_BYTES": "9",
        },
        [
            f"PORT is 'x', which cannot be used: {NUMBER}. For example: PORT=3001",
            "MAX_PAYLOAD_BYTES is '9', which cannot be used: Input should be greater than or equal to 1000. "
            "For example: MAX_PAYLOAD_BYTES=100000",
            "JWT_SECRET is missing or a known default: anybody could issue tokens. Set one of at least 32 bytes, "
            "for example from: openssl rand -base64 48",
            TOKENLESS.format("::"),
        ],
    ),
]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No .env but the test's own, and no variable of the machine's."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, env=environment, catch_exceptions=False)


@pytest.mark.parametrize(("environment", "sentences"), BROKEN)
def test_broken_configurations(environment: dict[str, str], sentences: list[str]) -> None:
    checked = run("check-config", **environment)
    started = run("serve", **environment)

    expected = "".join(f"neuron-meet: {sentence}\n" for sentence in sentences)
    assert (checked.stderr, checked.exit_code) == (expected, 2)
    assert (started.stderr, started.exit_code) == (expected, 2)
    for secret in (SECRET, SECRET[:20]):
        assert secret not in checked.output


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("https://meet.example.com:443", "https://meet.example.com"),
        ('"https://Meet.example.com/"', "https://meet.example.com"),
        ("'https://a.example, https://b.example:8443'", "https://a.example,https://b.example:8443"),
        ('"https://a.example","https://b.example"', "https://a.example,https://b.example"),
        ("https://*.example.com", "https://*.example.com"),
        ("https://a.example,https://A.example:443/", "https://a.example"),
    ],
)
def test_what_is_called_good_is_what_browsers_send(written: str, read: str) -> None:
    said = run("check-config", CORS_ORIGINS=written)
    assert said.exit_code == 0, said.output
    assert said.stdout.split()[:3] == ["CORS_ORIGINS", read, "(environment)"]


@pytest.mark.parametrize(
    ("written", "host"), [("[::]", "::"), ("::", "::"), ("[::1]", "::1"), ("localhost", "localhost")]
)
def test_an_ipv6_address_as_urls_have_it(written: str, host: str) -> None:
    said = run("check-config", HOST=written, ADMIN_HOST="[::1]")
    assert said.exit_code == 0, said.output
    assert said.stdout.split()[:2] == ["HOST", host]


def test_in_production_a_proxy_should_be_named() -> None:
    production = {"NODE_ENV": "production", "JWT_SECRET": SECRET}
    said = run("check-config", **production)
    assert said.exit_code == 0
    assert "TRUSTED_PROXIES is not set: behind a proxy all clients share one address" in said.stderr
    assert run("check-config", **production, TRUSTED_PROXIES="10.0.0.0/8").stderr == ""
    assert run("check-config").stderr == ""


WARNED: list[tuple[dict[str, str], str]] = [
    ({"TRUSTED_PROXIES": "0.0.0.0/0"}, "TRUSTED_PROXIES has 0.0.0.0/0, which is everybody"),
    ({"TRUSTED_PROXIES": "::/0"}, "TRUSTED_PROXIES has ::/0, which is everybody"),
    ({"CLIENT_DIST": "dist"}, "CLIENT_DIST is 'dist', which is no folder"),
    ({"CLIENT_DIST": "."}, "CLIENT_DIST is '.', which has no index.html"),
    ({"TURN_SECRET": "a secret"}, "TURN_SECRET is set, and TURN_SERVER_URL is not"),
    ({"TURN_SERVER_USERNAME": "me"}, "TURN_SERVER_USERNAME is set, and TURN_SERVER_URL is not"),
    (
        {"DATABASE_URL": f"{POSTGRES}?pgbouncer=true"},
        "DATABASE_URL says pgbouncer=true, and DIRECT_URL is not set",
    ),
    ({"DIRECT_URL": POSTGRES}, "DIRECT_URL is set, and DATABASE_URL is not"),
    (
        {"NODE_ENV": "production", "RATE_LIMIT_ENABLED": "false", "TRUSTED_PROXIES": "127.0.0.1"},
        "RATE_LIMIT_ENABLED is false in production",
    ),
    ({"DRAIN_SECONDS": "46"}, "DRAIN_SECONDS is 46, and the shipped unit kills the server after 60 s"),
]
"""What a server starts with, or fails at later, and is hardly meant: the setting, what was found."""


@pytest.mark.parametrize(("environment", "sentence"), WARNED)
def test_what_is_hardly_meant(
    environment: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ({"JWT_SECRET": "x" * 40} | environment).items():
        monkeypatch.setenv(name, value)
    [warning] = read_configuration().warnings
    assert warning.startswith(sentence)
    assert any(advice in warning for advice in ("Set ", "Name ", "take ", "Take ", "lower "))


def test_what_is_meant_is_not_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "index.html").touch()
    for name, value in {
        "NODE_ENV": "production",
        "JWT_SECRET": "x" * 40,
        "TRUSTED_PROXIES": "10.0.0.0/8",
        "CLIENT_DIST": str(tmp_path),
        "TURN_SECRET": "a secret",
        "TURN_SERVER_URL": "turn:turn.example.org",
        "DATABASE_URL": f"{POSTGRES}?pgbouncer=true",
        "DIRECT_URL": POSTGRES,
        "DRAIN_SECONDS": "45",
        "ADMIN_PORT": "3002",
    }.items():
        monkeypatch.setenv(name, value)
    read = read_configuration()
    assert (read.problems, read.warnings) == ([], [])


def test_the_unit_waits_as_long_as_is_said() -> None:
    unit = Path(__file__).resolve().parents[2] / "deploy" / "systemd" / "neuron-meet.service"
    assert f"TimeoutStopSec={UNIT_STOP_SECONDS}" in unit.read_text().splitlines()


def test_every_example_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        if example(name) != "-" and "(" not in example(name):
            monkeypatch.setenv(name.upper(), example(name))
    monkeypatch.setenv("ADMIN_TOKEN", "x" * 32)

    assert Settings().port == 3001


def test_values_sources_and_masks(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"JWT_SECRET={SECRET}\nPORT=4000\nDRAIN_SECONDS=7\nDATABSE_URL=x\n")
    said = run(
        "check-config", PORT="5000", DATABASE_URL=f"postgresql://meet:{SECRET}@db/meet", LIMIT_CHAT="2/minute"
    )

    assert said.exit_code == 0, said.output
    lines = [" ".join(line.split()) for line in said.stdout.splitlines()]
    assert lines == [
        "PORT 5000 (environment)",
        "DATABASE_URL (set, not shown) (environment)",
        "JWT_SECRET (set, not shown) (.env)",
        "DRAIN_SECONDS 7 (.env)",
        "LIMIT_CHAT 2/minute (environment)",
        "The settings can be used.",
    ]
    assert said.stderr == (
        "neuron-meet: warning: DATABSE_URL is no setting, and has no effect. Is DATABASE_URL meant?\n"
    )
    assert SECRET not in said.output


def test_all_of_them() -> None:
    said = run("check-config", "--all")

    assert said.exit_code == 0
    assert [line.split()[0] for line in said.stdout.splitlines()[:-2]] == [
        name.upper() for name in Settings.model_fields
    ]


@pytest.mark.parametrize("known", ["neuron-meet-secret", "your-super-secret-jwt-key-change-in-production"])
def test_a_known_secret_is_warned_of(known: str) -> None:
    said = run("check-config", JWT_SECRET=known)

    assert said.exit_code == 0
    assert said.stderr.startswith("neuron-meet: warning: JWT_SECRET is a known default: ")
    assert "(a known one, not shown)" in said.stdout
    assert known not in said.output


def test_what_signs_the_tokens_where_nothing_says_so(tmp_path: Path) -> None:
    file = tmp_path / "data" / "jwt-secret"
    said = run("check-config", NEURON_MEET_DATA_DIR=str(file.parent))
    assert f"the tokens' key is a random one, which the first start keeps in {file}." in said.stdout
    assert not file.parent.exists(), "it changes nothing"
    secret = with_secret(Settings(neuron_meet_data_dir=file.parent)).signing_key
    said = run("check-config", NEURON_MEET_DATA_DIR=str(file.parent))
    assert f"the tokens' key is the random one in {file}." in said.stdout
    assert secret not in said.output
    file.chmod(0o644)
    said = run("check-config", NEURON_MEET_DATA_DIR=str(file.parent))
    assert said.exit_code == 2
    assert said.stderr.startswith(f"neuron-meet: {file} is open to others")


def test_a_file_of_settings_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"PORT=3001\n\xff\xfe=\n")

    for command in ("check-config", "serve"):
        said = run(command)
        assert said.exit_code == 2
        assert said.stderr == "neuron-meet: .env cannot be read: it is not UTF-8. Mend it, or remove it.\n"
