"""The cases, a file a subject; every module beside this one is imported, so a new file is all that a new case needs.

    from benchmarks.scoreboard.cases.case import case
    from benchmarks.scoreboard.sum import Sum

    @case("20", "camera drops and returns: alarm within 5 s, back within 10 s")
    def drops(subject: str, full: bool) -> tuple[bool, Sum]:
        ...
        return passed, Sum(notes={"alarm_s": 1.2})

`subject` is `agent` or `naive`; `full` asks for the long version. Cases run side by side in threads: each has folders,
ports and processes of its own, and changes nothing of this process. What a naive script does not have at all is a fail.
"""

import importlib
import pkgutil

from benchmarks.scoreboard.cases.case import CASES, Case

__all__ = ["CASES", "Case"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
