"""How single settings are written. One that is written otherwise raises ValueError, which says what is asked.

Each is the type of a field of settings.py; None and nothing, where a field allows them, are not looked at.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from neuron_meet.origin import write_origin
from neuron_meet.rates import Rate

_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w|y)?\s*$")
_UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31557600}
_A_PAIR = 2
MOST_SECRETS = 4
"""Each is tried on every token that is none: one or two are there during a change."""
_BCRYPT_HASH = re.compile(r"^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$")
_REDIS_SCHEMES = ("redis://", "rediss://", "unix://", "redis+cluster://", "rediss+cluster://")


def duration_seconds(text: str) -> int:
    """Seconds in a duration as the former server's `JWT_EXPIRES_IN` had it: `7d`, `12h`, `3600` (seconds).

    Raises ValueError for anything else, zero included.
    """
    match = _DURATION.match(text)
    seconds = float(match[1]) * _UNIT_SECONDS[match[2] or "s"] if match else 0
    if seconds < 1:
        raise ValueError("must be a duration of at least a second, such as 7d, 12h or 3600")
    return int(seconds)


def is_loopback(text: str) -> bool:
    """Whether it is an address of this machine alone."""
    return _is_address(text) and ip_address(text).is_loopback


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _rate(value: object) -> object:
    return Rate.parse(value) if isinstance(value, str) else value


def _parts(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _few(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if len(value) > MOST_SECRETS:
        raise ValueError(f"must be at most {MOST_SECRETS} secrets, separated by commas")
    return value


def _origin_parts(value: object) -> object:
    if isinstance(value, str):
        return tuple(part for each in _unquoted(value).split(",") if (part := _unquoted(each)))
    return value


def _unquoted(text: str) -> str:
    """Without the quotation marks that `docker --env-file` and systemd's EnvironmentFile of some writers leave."""
    text = text.strip()
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" and text.count(text[0]) == _A_PAIR
    return text[1:-1].strip() if quoted else text


def _network_parts(value: object) -> object:
    if isinstance(value, str):
        return tuple(ip_network(part.strip(), strict=False) for part in value.split(",") if part.strip())
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _origins(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(write_origin(origin) for origin in value))


def _stun(value: tuple[str, ...]) -> tuple[str, ...]:
    if any(not url.startswith(("stun:", "stuns:")) for url in value):
        raise ValueError("must start with stun: or stuns:")
    return value


def _turn(value: str) -> str:
    if any(not url.strip().startswith(("turn:", "turns:")) for url in value.split(",") if url.strip()):
        raise ValueError("must start with turn: or turns:")
    return value


def _host(value: str) -> str:
    if value.startswith("[") and value.endswith("]") and ":" in value:  # as URLs have it
        value = value[1:-1]
    if re.search(r"[\s/@]|:\d+$", value) and not _is_address(value):
        raise ValueError("must be an address or a name alone, without scheme or port")
    return value


def _bcrypt(value: SecretStr) -> SecretStr:
    if value and not _BCRYPT_HASH.match(value.get_secret_value()):
        raise ValueError("must be a bcrypt hash, which begins with $2b$ or $2y$ and has 60 characters")
    return value


def _redis(value: SecretStr) -> SecretStr:
    if value and not value.get_secret_value().startswith(_REDIS_SCHEMES):
        raise ValueError(
            "must start with redis://, rediss://, unix://, redis+cluster:// or rediss+cluster://"
        )
    return value


def _postgres(value: SecretStr) -> SecretStr:
    if value and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("must start with postgresql://")
    return value


def _receiver(value: str) -> str:
    parts = urlsplit(value or "http://-")
    if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
        raise ValueError(
            "must be http://host:port or https://…, without a password (that is for OTEL_EXPORTER_OTLP_HEADERS)"
        )
    return value


def _duration(value: str) -> str:
    duration_seconds(value)
    return value


RateSetting = Annotated[Rate, NoDecode, BeforeValidator(_rate)]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origin_parts), AfterValidator(_origins)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_parts), AfterValidator(_few)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_network_parts)]
StunUrls = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parts), AfterValidator(_stun)]
TurnUrls = Annotated[str, AfterValidator(_turn)]
Host = Annotated[str, AfterValidator(_host)]
BcryptHash = Annotated[SecretStr, AfterValidator(_bcrypt)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis)]
PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres)]
ReceiverUrl = Annotated[str, AfterValidator(_receiver)]
Duration = Annotated[str, AfterValidator(_duration)]
InAnyCase = BeforeValidator(_lower)
"""For a choice among words in lower case."""
