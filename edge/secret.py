"""Secrets come from files that only their owner's group may read, and never reach a log line."""

import os
import re
import stat
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from edge.errors import ConfigError

__all__ = ["check_private", "has_password", "read_secret", "redact", "with_credentials"]

_MAX_BYTES = 64 * 1024
_USERINFO = re.compile(r"(?<=://)[^/@\s]*@")


def read_secret(path: Path) -> str:
    """The one secret in a file, without the newline at its end.

    Raises:
        ConfigError: when the file cannot be read, is empty, or is readable by everyone.
    """
    try:
        with path.open("rb") as f:
            check_private(path, f.fileno())
            raw = f.read(_MAX_BYTES)
        secret = raw.decode().rstrip("\r\n")
    except OSError as e:
        raise ConfigError(f"{path}: cannot read the secret: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise ConfigError(f"{path}: the secret is not UTF-8") from e
    if not secret:
        raise ConfigError(f"{path}: holds no secret")
    return secret


def check_private(path: Path, descriptor: int | None = None) -> None:
    """Refuses a file that everyone may read.

    Raises:
        ConfigError: with the command that mends it.
        OSError: when the file cannot be looked at.
    """
    mode = (path.stat() if descriptor is None else os.fstat(descriptor)).st_mode
    if stat.S_ISREG(mode) and mode & stat.S_IROTH:
        raise ConfigError(f"{path}: holds a secret but everyone may read it; chmod 600 {path}")


def redact(text: str) -> str:
    """Text with the credentials of every URL in it replaced by three stars."""
    return _USERINFO.sub("***@", text)


def has_password(url: str) -> bool:
    """Whether a URL carries a password."""
    try:
        return urlsplit(url).password is not None
    except ValueError:
        return "@" in url


def with_credentials(url: str, username: str, password: str | None) -> str:
    """The URL with a user's name and password put in, escaped."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    user = quote(username, safe="") + (f":{quote(password, safe='')}" if password is not None else "")
    return urlunsplit(parts._replace(netloc=f"{user}@{host}"))
