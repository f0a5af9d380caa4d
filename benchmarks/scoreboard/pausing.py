"""The agent, whose updates stop for ever in one phase, so that it can be killed there: PHASE FLAG and the agent's words.

The phase is on the disk when FLAG appears.
"""

import sys
import time
from pathlib import Path

from edge.cli import main
from edge.updates.updater import Updater

phase, flag = sys.argv[1], Path(sys.argv[2])
tell = Updater._tell  # noqa: SLF001 - where every phase passes


def pause(self: Updater) -> None:
    """Tells as ever, and goes no further."""
    tell(self)
    if self.current is not None and self.current.phase == phase:
        flag.touch()
        time.sleep(3600)


Updater._tell = pause  # type: ignore[method-assign]  # noqa: SLF001
sys.exit(main(sys.argv[3:]))
