"""`[health]` and `[governor]`: the node's own figures, who may read them, and what it spares to stay cool or quick."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from edge.config.fields import Line, LocalPath, Seconds, Section

__all__ = ["GovernorConfig", "HealthConfig", "listen_address"]

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class HealthConfig(Section):
    """`[health]`: the node's own figures, and the page that tells them; off without `listen`."""

    every_s: Seconds = 10.0
    listen: Line | None = None
    token_file: LocalPath | None = None

    @field_validator("listen")
    @classmethod
    def _is_an_address(cls, listen: str | None) -> str | None:
        if listen is not None:
            listen_address(listen)
        return listen

    @model_validator(mode="after")
    def _strangers_need_a_token(self) -> "HealthConfig":
        if self.listen is not None and listen_address(self.listen)[0] not in _LOOPBACK and self.token_file is None:
            raise ValueError("listen beyond this machine needs token_file: what is shown tells much about the node")
        return self


class GovernorConfig(Section):
    """`[governor]`: limits that are held by giving something up; off without any."""

    temperature_c: Annotated[float, Field(ge=20, le=120)] | None = None
    latency_ms: Annotated[float, Field(gt=0, le=3_600_000)] | None = None
    gives: Annotated[tuple[Literal["gate", "fps"], ...], Field(min_length=1, max_length=2)] = ("gate", "fps")
    least_fps: Annotated[float, Field(gt=0, le=100)] = 0.5

    @property
    def enabled(self) -> bool:
        """Whether there is a limit to hold."""
        return self.temperature_c is not None or self.latency_ms is not None


def listen_address(text: str) -> tuple[str, int]:
    """`127.0.0.1:9464` or `[::1]:9464` as host and port; port 0 takes any that is free.

    Raises:
        ValueError: saying how it looks.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError("it looks like 127.0.0.1:9464")
    return host.removeprefix("[").removesuffix("]"), int(port)
