"""The bundle's labels, by whatever name the data calls them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from export.errors import ExportError

__all__ = ["LabelNames"]

_SYNONYMS = {  # VOC's names and COCO's for the same things
    "aeroplane": "airplane",
    "motorbike": "motorcycle",
    "diningtable": "dining table",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}


class LabelNames:
    """Finds a label's index by what the data calls it."""

    def __init__(self, labels: Sequence[str], aliases: Mapping[str, str]) -> None:
        self.labels = labels
        self.aliases = {_plain(k): _plain(v) for k, v in aliases.items()}
        self.index = {_plain(label): i for i, label in reversed(list(enumerate(labels)))}
        for theirs in self.aliases.values():
            if theirs not in self.index:
                raise ExportError(f"alias to {theirs!r}: the bundle has no such label{self.nearest(theirs)}")

    def find(self, name: str) -> int | None:
        """The index of the label that the data calls `name`, or None."""
        plain = _plain(name)
        candidates = [self.aliases.get(plain, plain), _SYNONYMS.get(plain, plain)]
        candidates += [k for k, v in _SYNONYMS.items() if v == plain]
        return next((self.index[c] for c in candidates if c in self.index), None)

    def nearest(self, name: str) -> str:
        """A hint at the label most like `name`, or nothing."""
        near = difflib.get_close_matches(_plain(name), self.index, n=1)
        return f"; did you mean {near[0]!r}?" if near else ""

    def judge_aliases(self, where: Path, theirs: Sequence[str]) -> None:
        """Refuse an alias of a class that the data does not have: by a slip of the pen its class would go unjudged.

        Raises:
            ExportError: naming the alias, and the class that was meant.
        """
        known = {_plain(name): name for name in theirs}
        for alias in self.aliases:
            if alias not in known:
                near = difflib.get_close_matches(alias, known, n=1)
                hint = f"; did you mean {known[near[0]]!r}?" if near else ""
                raise ExportError(f"alias of {alias!r}: {where} has no class of that name{hint}")

    def none_common(self, where: Path, theirs: Sequence[str]) -> ExportError:
        """The error for data of which no class is a label here."""
        ours = list(self.labels)
        return ExportError(
            f"{where}: none of its classes ({', '.join(theirs[:8])}{', ...' if len(theirs) > 8 else ''}) is a label of "
            f"the bundle ({', '.join(ours[:8])}{', ...' if len(ours) > 8 else ''}); give --alias DATA=LABEL"
        )


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()
