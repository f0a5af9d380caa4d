"""What is kept about a node's models: which one is active, which was before, and how far an update has come."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = ["FINAL", "UNDER_WAY", "Phase", "Request", "State", "Update"]

Phase = Literal[
    "downloading",
    "verifying",
    "installing",
    "probing",
    "shadowing",
    "switching",
    "watching",
    "committed",
    "failed",
    "rolled_back",
]
FINAL: frozenset[Phase] = frozenset({"committed", "failed", "rolled_back"})
UNDER_WAY: frozenset[Phase] = frozenset({"downloading", "verifying", "installing", "probing", "shadowing", "switching"})
"""The old model is the active one."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Ident = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,95}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Request(_Model):
    """What somebody asks for: an archive, and the SHA-256 that it must have. `id` is the asker's own name for it."""

    id: Ident
    url: Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^(https|file)://[^\x00-\x20]+$")]
    sha256: Digest
    source: Literal["command", "job", "cli"] = "command"


class Update(_Model):
    """A request on its way. `starts` counts the agent's starts since its last clean stop; `found` what was measured."""

    request: Request
    phase: Phase = "downloading"
    reason: str | None = None
    digest: Digest | None = None
    name: str | None = None
    version: str | None = None
    starts: int = 0
    found: dict[str, Any] = Field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether it has come to its end, good or bad."""
        return self.phase in FINAL


class State(_Model):
    """`state.json`.

    `active` is the digest of the installed bundle that runs, None for the configured one; `previous` the one before.
    `base` is the configured bundle that `active` took the place of: a person who configures another one means it.
    """

    schema_version: Literal["models/1.0"] = "models/1.0"
    base: Digest | None = None
    active: Digest | None = None
    previous: Digest | None = None
    update: Update | None = None
