"""Every setting of the server: its environment variable, its type, its default and what it is for.

The variable's name is the field's name in capitals. README's table lists the same (a test compares them).
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from neuron_meet.notation import (
    BcryptHash,
    Duration,
    Host,
    InAnyCase,
    Networks,
    Origins,
    PostgresUrl,
    RateSetting,
    ReceiverUrl,
    RedisUrl,
    Secrets,
    StunUrls,
    TurnUrls,
    duration_seconds,
    is_loopback,
)
from neuron_meet.rates import Rate

KNOWN_SECRETS_SHA256 = frozenset(
    {
        "2b37b8aa059f8075659eb2fa56eabb2478ac755b6ab04c3a40e9ae642660f84a",  # this server's, while it had one
        "19a7d3d9897aa4c86b703ede326eeb37427274fe0c87de23818b3b68429cc273",  # the former server's, without JWT_SECRET
        "28e3ba0d05a8e21b4630eb1fa314d7bcd76f2d57aa81de763691ba982b3c5c46",  # its docker-compose.yml
        "074337dc15c16b74a873232606bc465fc87449ca5f584d9e581e0ee899feb270",  # its .env.example
        "971cb214a0b5c08eac23088b3670e1f1ffe051e56cda87789bfaf025031839eb",  # its .env.example, before
        "048af2438891a89a3536ac09cc96ccbd34a1714e88cf8fdb63e6186dcc3ff89d",  # its README's, and tutorials'
        "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",  # tutorials', as are the next three
        "057ba03d6c44104863dc7361fe4578965d1887360f90a0895882e58a6248fc86",
        "298754db2dbab6ec62605ceb0379eb7ee376580359449efe0caa3aa06cd56736",
        "ad165b11320bc91501ab08613cc3a48a62a6caca4d5c8b14ca82cc313b3b96cd",
        "f7d838701b86c5dfb57bf95fbc5ce6df204cfc9f15ad6cdb39fd22f8776e47b6",  # jwt.io's, as is the next
        "465d9ad5d5528ebe287b5dce4fb51620833d09b290e49ddcc70ca6c4a0aea01b",
    }
)
"""Secrets that stand in public code, as their SHA-256: there is none here that one could sign with."""
MIN_SECRET_BYTES = 32
_EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104 -- compared with, not listened on
"""RFC 7518 §3.2: an HS256 key has at least 256 bits."""


def _rate(default: str, description: str) -> Any:
    return Field(Rate.parse(default), description=description)


class Settings(BaseSettings):
    """The server's settings, read once at start from the environment (and `.env` in the working folder)."""

    model_config = SettingsConfigDict(
        env_file=".env",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,  # secrets are among it
    )

    # -- where it runs
    node_env: Literal["development", "production", "test"] = Field(
        "development", description="`production` refuses unsafe defaults and logs JSON"
    )
    host: Host = Field(
        "",
        description="address to listen on (127.0.0.1; 0.0.0.0 in production)",
        examples=["0.0.0.0"],  # noqa: S104
    )
    port: int = Field(3001, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    cors_origins: Origins = Field(
        (),
        description="origins that may call, separated by commas (any in development, same origin in production)",
        examples=["https://meet.example.com,https://staging.example.com"],
    )
    trusted_proxies: Networks = Field(
        (),
        description="addresses or networks of proxies whose X-Forwarded-For is believed, separated by commas",
        examples=["127.0.0.1,10.0.0.0/8"],
    )
    client_dist: Path | None = Field(None, description="folder of a built front end to serve at /")
    web_page: bool = Field(
        True, description="serve the built-in meeting page at / where CLIENT_DIST is not set"
    )

    # -- data
    database_url: PostgresUrl | None = Field(
        None,
        description="PostgreSQL to use; an embedded one is started when it is not set",
        examples=["postgresql://user:password@host:5432/name"],
    )
    direct_url: PostgresUrl | None = Field(
        None,
        description="PostgreSQL for migrations when DATABASE_URL goes through a pooler (DATABASE_URL)",
        examples=["postgresql://user:password@host:5432/name"],
    )
    neuron_meet_data_dir: Path = Field(
        Path(".neuron-meet"), description="where the embedded PostgreSQL keeps its data"
    )
    database_pool_size: int = Field(10, ge=1, le=200, description="connections to PostgreSQL of one server")
    database_timeout_seconds: float = Field(
        5.0, gt=0, le=60, description="after so long a database call is given up"
    )
    redis_url: RedisUrl | None = Field(
        None,
        description="Redis, or a Redis Cluster (redis+cluster://), that makes many servers act as one",
        examples=["redis://:password@redis.example.com:6379/0"],
    )

    # -- accounts
    jwt_secret: SecretStr | None = Field(
        None,
        description="key of the tokens (HS256); required in production and with REDIS_URL, else a random one is "
        "made in NEURON_MEET_DATA_DIR",
        examples=["the output of: openssl rand -base64 48"],
    )
    jwt_secret_previous: Secrets = Field(
        (),
        description="keys that tokens may be signed with as well, separated by commas, while JWT_SECRET is changed "
        "(docs/operations.md#changing-secrets)",
        examples=["the value that JWT_SECRET had until now"],
    )
    jwt_expires_in: Duration = Field("7d", description="life of a token: 7d, 12h, 3600 (seconds)")
    bcrypt_threads: int = Field(2, ge=1, le=64, description="passwords hashed at the same time")

    # -- meetings
    max_message_length: int = Field(
        4000,
        ge=1,
        le=40_000,  # 6 bytes of JSON each at most: each fits into a replay (REPLAYED_BYTES), 12 sent: into a packet
        description="longest chat message, in characters; 40000 at most, so that each fits into a replay",
    )
    recovery_grace_seconds: float = Field(
        15, ge=0, le=600, description="how long a dropped participant's place is held; 0 switches it off"
    )
    drain_seconds: float = Field(
        5, ge=0, le=3600, description="a planned stop closes the sockets spread over so long"
    )
    ping_interval_seconds: float = Field(10, gt=0, le=300, description="pause between two pings to a client")
    ping_timeout_seconds: float = Field(
        8, gt=0, le=300, description="wait for a pong before the client is gone"
    )
    max_payload_bytes: int = Field(
        100_000,
        ge=1_000,
        le=10_000_000,
        description="largest offer or answer, in bytes (an SDP is 2 to 60 kB); packets may have 4 times that",
    )

    # -- limits
    rate_limit_enabled: bool = Field(True, description="false switches all rate limits off")
    limit_login_address: RateSetting = _rate("30 per minute", "sign-ins from one address")
    limit_login_account: RateSetting = _rate("10 per 5 minutes", "failed sign-ins to one account")
    limit_register_address: RateSetting = _rate("60 per hour", "registrations from one address")
    limit_lookups_address: RateSetting = _rate(
        "600 per minute", "look-ups by room code that find nothing or nobody, from one address"
    )
    limit_connections_address: RateSetting = _rate("600 per minute", "connections from one address")
    limit_requests_address: RateSetting = _rate(
        "5000 per 10 seconds", "HTTP requests of one address; what comes faster waits for its turn"
    )
    limit_joins_address: RateSetting = _rate(
        "600 per minute", "joins from one address (a company behind one NAT)"
    )
    limit_joins: RateSetting = _rate("20 per 20 seconds", "joins and leaves of one socket")
    limit_chat: RateSetting = _rate("15 per 5 seconds", "chat messages of one socket")
    limit_typing: RateSetting = _rate("40 per 10 seconds", "typing events of one socket")
    limit_media: RateSetting = _rate("60 per 10 seconds", "media and hand events of one socket")
    limit_relay: RateSetting = _rate(
        "6000 per 10 seconds",
        "offers, answers and candidates of one socket (99 peers, 30 candidates each, twice)",
    )
    limit_host: RateSetting = _rate("240 per minute", "host controls of one socket")
    limit_unjoined: RateSetting = _rate("60 per 10 seconds", "events of a socket that is in no room")
    limit_invalid: RateSetting = _rate("60 per 10 seconds", "unknown and malformed events of one socket")
    limit_frames: RateSetting = _rate(
        "2000 per 10 seconds",
        "frames of one connection that mean nothing (pings, binary, malformed, surplus typing)",
    )
    limit_patience: RateSetting = _rate(
        "300 per minute", "refusals for going too fast before a socket is dropped"
    )
    max_connections: int = Field(
        20_000,
        ge=1,
        description="connections at once to one server, and Engine.IO sessions; fewer where fewer files may be open",
    )
    max_connections_address: int = Field(
        2_000, ge=1, description="of them from one address (a company of 500 behind one NAT has up to 2,000)"
    )
    max_open_rooms: int = Field(100, ge=1, description="active rooms that one account may host")

    # -- ICE
    stun_urls: StunUrls = Field(
        (),
        description="STUN servers given to members, such as stun:stun.example.org:3478, separated by commas",
        examples=["stun:stun.example.org:3478"],
    )
    turn_server_url: TurnUrls | None = Field(
        None,
        description="TURN servers given to members, such as turn:turn.example.org:3478, separated by commas",
        examples=["turn:turn.example.org:3478"],
    )
    turn_server_username: str | None = Field(
        None, description="their user name, where TURN_SECRET is not set"
    )
    turn_server_password: SecretStr | None = Field(
        None, description="their password, where TURN_SECRET is not set"
    )
    turn_secret: SecretStr | None = Field(
        None, description="coturn's `static-auth-secret`: credentials are made for each member and expire"
    )
    turn_ttl_seconds: int = Field(
        43_200, ge=60, le=604_800, description="life of such credentials; a meeting should not outlast it"
    )

    # -- operation
    admin_host: Host = Field("127.0.0.1", description="address of metrics and administration")
    admin_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="their port, 0 takes a free one; without it there are none",
        examples=["9464"],
    )
    admin_token: SecretStr | None = Field(
        None,
        description="what whoever asks there must know; without it only metrics, and only on a loopback address",
        examples=["the output of: openssl rand -base64 48"],
    )
    admin_token_previous: Secrets = Field(
        (),
        description="tokens that are taken as well, separated by commas, while ADMIN_TOKEN is changed",
        examples=["the value that ADMIN_TOKEN had until now"],
    )
    admin_ui_username: str | None = Field(
        None,
        description="name to look with by Socket.IO's Admin UI, at the same address; none may without it",
        examples=["operator"],
    )
    admin_ui_password_hash: BcryptHash | None = Field(
        None,
        description="bcrypt hash of the password for that",
        examples=[
            "$2b$10$9O9zO8q1GIBf3L.81gM/neqSByBRoE4RAYW1Aw0DyNU9BYFuKMSuu"
        ],  # of a password that nobody kept
    )
    admin_ui_origins: Origins = Field(
        (),
        description="origins from which that UI may, separated by commas (its page's)",
        examples=["https://admin.example.com"],
    )
    audit_log: str | None = Field(
        None,
        description="where to record who did what to whom: a file, or stdout; nowhere without it",
        examples=["/var/log/neuron-meet/audit.jsonl"],
    )

    otel_exporter_otlp_endpoint: ReceiverUrl | None = Field(
        None,
        description="OTLP receiver (HTTP) that gets traces; needs the extra `tracing`; no tracing without it",
        examples=["http://127.0.0.1:4318"],
    )

    # -- logs
    slow_event_ms: int = Field(
        1_000,
        ge=0,
        description="events and database calls that take so long are logged, with what they waited for; 0: none",
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], InAnyCase] = Field(
        "info", description="least level logged"
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="console or json; auto is json in production"
    )

    @model_validator(mode="after")
    def _together(self) -> Settings:
        """Rules about several settings: every broken one has its line."""
        if broken := [
            *self._unsafe_secret(),
            *self._unsafe_former_secrets(),
            *self._open_administration(),
            *self._half_an_admin_ui(),
            *self._one_port_for_both(),
        ]:
            raise ValueError("\n".join(broken))
        return self

    def _unsafe_secret(self) -> Iterator[str]:
        secret = None if self.jwt_secret is None else self.jwt_secret.get_secret_value()
        if not self.production:
            if secret is None and self.redis_url is not None:
                yield (
                    "JWT_SECRET is missing: with REDIS_URL all servers must be given the same one. "
                    "Set it, for example from: openssl rand -base64 48"
                )
            return
        if secret is None or is_known_secret(secret):
            yield (
                "JWT_SECRET is missing or a known default: anybody could issue tokens. "
                f"Set one of at least {MIN_SECRET_BYTES} bytes, for example from: openssl rand -base64 48"
            )
        elif len(secret.encode()) < MIN_SECRET_BYTES:
            yield (
                f"JWT_SECRET is shorter than {MIN_SECRET_BYTES} bytes, which can be guessed. "
                "Set a longer one, for example from: openssl rand -base64 48"
            )

    def _unsafe_former_secrets(self) -> Iterator[str]:
        if self.production and any(
            is_known_secret(secret) or len(secret.encode()) < MIN_SECRET_BYTES
            for secret in self.former_signing_keys
        ):
            yield (
                f"JWT_SECRET_PREVIOUS holds a known default, or one shorter than {MIN_SECRET_BYTES} bytes: with it "
                "anybody could still issue tokens. Take it out: everybody signs in anew"
            )
        if any(
            len(token.get_secret_value().encode()) < MIN_SECRET_BYTES for token in self.admin_token_previous
        ):
            yield (
                f"ADMIN_TOKEN_PREVIOUS holds one shorter than {MIN_SECRET_BYTES} bytes, which can be guessed. "
                "Take it out"
            )
        for name in ("jwt_secret", "admin_token"):
            if getattr(self, f"{name}_previous") and getattr(self, name) is None:
                yield (
                    f"{name.upper()}_PREVIOUS is set, and {name.upper()} is not: it counts only beside that. Set "
                    "both, or neither"
                )

    def _open_administration(self) -> Iterator[str]:
        if self.admin_port is None:
            return
        if self.admin_token is None:
            if not (self.admin_host == "localhost" or is_loopback(self.admin_host)):
                yield (
                    f"ADMIN_TOKEN is missing: ADMIN_HOST {self.admin_host!r} can be reached from elsewhere. "
                    "Set one, for example from: openssl rand -base64 48; or ADMIN_HOST=127.0.0.1"
                )
        elif len(self.admin_token.get_secret_value().encode()) < MIN_SECRET_BYTES:
            yield (
                f"ADMIN_TOKEN is shorter than {MIN_SECRET_BYTES} bytes, which can be guessed. "
                "Set a longer one, for example from: openssl rand -base64 48"
            )

    def _one_port_for_both(self) -> Iterator[str]:
        hosts = {self.bind_host, self.admin_host}
        if self.admin_port and self.admin_port == self.port and (len(hosts) == 1 or hosts & _EVERYWHERE):
            yield (
                f"ADMIN_PORT is {self.admin_port}, and so is PORT: the admin address needs a port of its own. "
                "Set another, for example ADMIN_PORT=9464"
            )

    def _half_an_admin_ui(self) -> Iterator[str]:
        name, password = self.admin_ui_username, self.admin_ui_password_hash
        if name is None and password is None:
            return
        if name is None or password is None:
            missing = "ADMIN_UI_USERNAME" if name is None else "ADMIN_UI_PASSWORD_HASH"
            yield f"{missing} is missing: Socket.IO's Admin UI asks for a name and a password. Set both, or neither"
        if self.admin_port is None or self.admin_token is None:
            yield "ADMIN_UI_USERNAME needs ADMIN_PORT and ADMIN_TOKEN: the Admin UI is at the admin address"

    @property
    def production(self) -> bool:
        """Whether unsafe defaults are refused."""
        return self.node_env == "production"

    @property
    def bind_host(self) -> str:
        """The address to listen on (contract/rest.md, Environment)."""
        return self.host or ("0.0.0.0" if self.production else "127.0.0.1")  # noqa: S104

    @property
    def signing_key(self) -> str:
        """The secret that tokens are signed with. Raises RuntimeError where neither JWT_SECRET nor
        :func:`neuron_meet.jwt_secret.with_secret` has given one.
        """
        if self.jwt_secret is None:
            raise RuntimeError("there is no JWT_SECRET: with_secret makes one")
        return self.jwt_secret.get_secret_value()

    @property
    def former_signing_keys(self) -> tuple[str, ...]:
        """Secrets that tokens may be signed with as well, while the secret is changed."""
        return tuple(secret.get_secret_value() for secret in self.jwt_secret_previous)

    @property
    def slow_seconds(self) -> float:
        """From how many seconds on something is slow."""
        return self.slow_event_ms / 1000 if self.slow_event_ms else math.inf

    @property
    def token_life_seconds(self) -> int:
        """Life of an access token, in seconds."""
        return duration_seconds(self.jwt_expires_in)


def is_known_secret(secret: str) -> bool:
    """Whether anybody can know this secret, as one reads it in public code (quotes around it do not matter)."""
    plain = secret.strip().strip("\"'").lower()
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest() in KNOWN_SECRETS_SHA256


def random_secret() -> str:
    """A secret of 32 random bytes, URL-safe."""
    return secrets.token_urlsafe(32)
