"""What the sections of the configuration are made of: frozen tables, names, seconds, lines and local paths."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo

__all__ = ["Line", "LocalPath", "Name", "Polygon", "Seconds", "Section", "Share", "from_the_files_folder"]

_CREDENTIALS = "$CREDENTIALS_DIRECTORY"
"""Where systemd puts the secrets of a service (LoadCredential=)."""


def from_the_files_folder(path: Path, info: ValidationInfo) -> Path:
    """A path as the file means it: relative to its own folder, `~` and `$CREDENTIALS_DIRECTORY` resolved."""
    base: Path | None = (info.context or {}).get("folder")
    if path.parts[:1] == (_CREDENTIALS,) and (credentials := os.environ.get(_CREDENTIALS[1:])):
        return Path(credentials, *path.parts[1:])
    path = path.expanduser()
    return base / path if base is not None else path


LocalPath = Annotated[Path, AfterValidator(from_the_files_folder)]
"""A path as written, taken from the folder of the configuration file when it is relative."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,64}$")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=2048, pattern=r"^[^\x00-\x1f\x7f]+$")]
Share = Annotated[float, Field(ge=0, le=1)]
Polygon = Annotated[tuple[tuple[Share, Share], ...], Field(min_length=3, max_length=64)]
"""Corners x, y as shares of the picture's width and height."""


class Section(BaseModel):
    """A table of the configuration: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
