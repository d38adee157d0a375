"""The secret of the tokens where JWT_SECRET gives none: a random one, made once and kept in the data folder.

For one server in development. In production, and with REDIS_URL, the settings are refused without JWT_SECRET: nodes
that make one each would refuse each other's tokens.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import structlog
from pydantic import SecretStr

from neuron_meet.failure import UnusableSettings
from neuron_meet.settings import MIN_SECRET_BYTES, Settings, is_known_secret, random_secret

log = structlog.get_logger(__name__)

FILE_NAME = "jwt-secret"
OWNER_ONLY = 0o600
OF_OTHERS = 0o077
"""The bits of a file's mode that let others at it."""


def secret_file(settings: Settings) -> Path:
    """Where the secret is that this server makes."""
    return settings.neuron_meet_data_dir.expanduser().absolute() / FILE_NAME


def is_made(settings: Settings) -> bool:
    """Whether it is there."""
    return _is_there(secret_file(settings))


def with_secret(settings: Settings) -> Settings:
    """The settings with a secret in `jwt_secret`: JWT_SECRET's, or the one in the data folder, made if need be.

    Logs a warning where JWT_SECRET is one that anybody knows (production does not come so far). Raises
    UnusableSettings where there is no JWT_SECRET and the data folder gives none.
    """
    if settings.jwt_secret is not None:
        if is_known_secret(settings.jwt_secret.get_secret_value()):
            log.warning("JWT_SECRET is a known default: whoever reaches this server can sign in as anybody")
        return settings
    return settings.model_copy(update={"jwt_secret": SecretStr(_kept(secret_file(settings)))})


def source(settings: Settings) -> str:
    """Where the secret is from, or will be, in words. Makes none.

    Raises UnusableSettings where the file is unusable.
    """
    if settings.jwt_secret is not None:
        known = is_known_secret(settings.jwt_secret.get_secret_value())
        return (
            "a known default, which anybody can sign in with: set another" if known else "given by JWT_SECRET"
        )
    file = secret_file(settings)
    if not is_made(settings):
        return f"a random one, which the first start keeps in {file}"
    _read(file)
    return f"the random one in {file}"


def _is_there(file: Path) -> bool:
    with contextlib.suppress(OSError):  # of a folder that cannot be looked into
        return file.exists()
    return False


def _kept(file: Path) -> str:
    """The secret in the file. Several starts at once make one, which all of them read."""
    try:
        if not _is_there(file):
            _make(file)
    except OSError as error:
        raise UnusableSettings(
            f"JWT_SECRET is not set, and none can be kept in {file.parent} ({error.strerror}): set JWT_SECRET, for "
            "example from: openssl rand -base64 48; or name a folder that can be written with NEURON_MEET_DATA_DIR."
        ) from None
    return _read(file)


def _read(file: Path) -> str:
    instead = "remove it, and the next start makes another (everybody signs in anew), or set JWT_SECRET."
    try:
        mode, secret = file.stat().st_mode, file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise UnusableSettings(
            f"{file}, which has the tokens' key, cannot be read ({error.strerror}): {instead}"
        ) from None
    except UnicodeDecodeError:
        mode, secret = OWNER_ONLY, ""
    if mode & OF_OTHERS:
        raise UnusableSettings(f"{file} is open to others, who could sign in as anybody: {instead}")
    if len(secret) < MIN_SECRET_BYTES:
        raise UnusableSettings(f"{file} holds no secret of {MIN_SECRET_BYTES} bytes: {instead}")
    return secret


def _make(file: Path) -> None:
    """Write a random secret to the file, whole or not at all; one that another start has made meanwhile stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes it for its owner alone.
    number, name = tempfile.mkstemp(prefix=f".{FILE_NAME}-", dir=file.parent)
    try:
        with os.fdopen(number, "w", encoding="ascii") as new:
            new.write(f"{random_secret()}\n")
            new.flush()
            os.fsync(number)
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(name)
    finally:
        Path(name).unlink()
