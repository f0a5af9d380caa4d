"""AWS IoT Jobs: takes the next job for this thing, has its model brought, and tells how it goes until its end.

Topics below `$aws/things/<thing>/jobs/`: `start-next`, `<jobId>/update`, and `notify-next`, which comes by itself. A job
that is in progress comes first when the next one is started, so a node that was away or killed gets it again; and what
an update came to is on the node's disk, so the job is told its end even then.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from edge.aws.services import Asking, Say, parse
from edge.errors import PermanentError
from edge.updates.state import Request, Update

__all__ = ["JobDocument", "Jobs", "Updates"]

log = logging.getLogger(__name__)

_JOB_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_STATUS: dict[str, Literal["SUCCEEDED", "FAILED"]] = {
    "committed": "SUCCEEDED",
    "failed": "FAILED",
    "rolled_back": "FAILED",
}
_MAX_DETAIL = 1024
_LOST = frozenset({"InvalidStateTransition", "ResourceNotFound", "TerminalStateReached"})
_CONFLICT = "VersionMismatch"


class JobDocument(BaseModel):
    """What a job may ask for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    operation: Literal["update-model"]
    url: str
    sha256: str


class Updates:
    """What a job needs of the updates: `edge.updates.updater.Updater` is it."""

    def __init__(
        self,
        request: Callable[[Request], Update],
        current: Callable[[], Update | None],
        percent: Callable[[], int | None],
        cancel: Callable[[str], bool],
    ) -> None:
        self.request = request
        self.current = current
        self.percent = percent
        self.cancel = cancel


class Jobs:
    """One job at a time. The uplink's thread calls it; `say` sends now."""

    def __init__(self, thing: str, say: Say, updates: Updates, *, mono: Callable[[], float] = time.monotonic) -> None:
        self._base = f"$aws/things/{thing}/jobs"
        # Answers to requests come to whoever asked without a subscription, but not from every broker in between.
        self.filters: tuple[str, ...] = (
            f"{self._base}/notify-next",
            f"{self._base}/start-next/accepted",
            f"{self._base}/start-next/rejected",
            f"{self._base}/+/update/accepted",
            f"{self._base}/+/update/rejected",
        )
        self._updates = updates
        self._asking = Asking(say, mono=mono)
        self._job: str | None = None
        self._version = 0
        self._told: dict[str, str] = {}
        self._refused: str | None = None
        self._wanted = True

    def connected(self) -> None:
        """Asks for what there is to do."""
        self._asking.forget()
        self._told = {}
        self._wanted = True
        self.step()

    def heard(self, topic: str, payload: bytes) -> None:
        """An answer, or the word that another job is next."""
        found = parse(payload)
        levels = topic.removeprefix(self._base + "/").split("/")
        if found is None:
            log.warning("job: %s holds no JSON object", topic)
        elif levels == ["notify-next"]:
            self._notified(_object(found.get("execution")))
        elif levels[0] == "start-next":
            if self._asking.answers(found) is not None and levels[1] == "accepted":
                self._take(_object(found.get("execution")))
        elif len(levels) == 3 and self._asking.answers(found) is not None:
            self._answered(levels[0], found, accepted=levels[2] == "accepted")

    def step(self) -> None:
        """Tells what is new, when nothing waits for an answer."""
        self._asking.again()
        if self._asking.waiting is not None:
            return
        if self._job is not None:
            self._report(self._job)
        if self._wanted and self._job is None and self._asking.waiting is None:
            self._wanted = False
            self._asking.ask(f"{self._base}/start-next", {"statusDetails": {}})

    def _notified(self, execution: Mapping[str, Any]) -> None:
        job = execution.get("jobId")
        if self._job is not None and job != self._job:
            # It is no longer ours: cancelled, deleted, or timed out.
            if self._updates.cancel(_ident(self._job)):
                log.warning("job %s: taken back; its update is given up", self._job)
            self._forget()
        self._wanted = self._wanted or job is not None
        self.step()

    def _take(self, execution: Mapping[str, Any]) -> None:
        job, version = execution.get("jobId"), execution.get("versionNumber")
        if not isinstance(job, str) or not _JOB_ID.fullmatch(job) or not isinstance(version, int):
            return
        self._job, self._version, self._told, self._refused = job, version, {}, None
        current = self._updates.current()
        if current is None or current.request.id != _ident(job):
            try:
                document = JobDocument.model_validate(execution.get("jobDocument"))
                request = Request(id=_ident(job), url=document.url, sha256=document.sha256, source="job")
                self._updates.request(request)
                log.info("job %s: taken", job)
            except ValidationError as e:
                first = e.errors(include_url=False, include_input=False)[0]
                where = ".".join(str(p) for p in first["loc"])
                self._refuse(job, f"jobDocument: {where}: {first['msg']}")
            except (PermanentError, OSError) as e:
                self._refuse(job, str(e))
        self.step()

    def _refuse(self, job: str, reason: str) -> None:
        log.warning("job %s refused: %s", job, reason)
        self._refused = reason

    def _report(self, job: str) -> None:
        status, details = self._state(job)
        if status is None or details == self._told:
            return
        self._told = details
        body = {"status": status, "statusDetails": details, "expectedVersion": self._version}
        self._asking.ask(f"{self._base}/{job}/update", body)

    def _state(self, job: str) -> tuple[str | None, dict[str, str]]:
        if self._refused is not None:
            return "REJECTED", {"reason": self._refused[:_MAX_DETAIL]}
        current = self._updates.current()
        if current is None or current.request.id != _ident(job):
            return None, {}
        details: dict[str, str] = {"phase": current.phase}
        percent = self._updates.percent()
        if percent is not None and not current.over:
            details["percent"] = str(percent // 10 * 10)
        for name in ("reason", "version"):
            value = getattr(current, name)
            if value:
                details[name] = str(value)[:_MAX_DETAIL]
        return _STATUS.get(current.phase, "IN_PROGRESS"), details

    def _answered(self, job: str, found: Mapping[str, Any], *, accepted: bool) -> None:
        if job != self._job:
            return
        if accepted:
            self._version += 1
            if self._state(job)[0] != "IN_PROGRESS" and self._state(job)[1] == self._told:
                log.info("job %s: told its end", job)
                self._forget()
                self._wanted = True
            self.step()
            return
        code = found.get("code")
        known = _object(found.get("executionState")).get("versionNumber")
        if code == _CONFLICT and isinstance(known, int):
            self._version = known
            self._told = {}
        elif code in _LOST:
            log.warning("job %s: %s (%s)", job, found.get("message"), code)
            self._updates.cancel(_ident(job))
            self._forget()
            self._wanted = True
        else:  # throttled, or trouble of theirs: the next step tells again
            log.warning("job %s: not told: %s (%s)", job, found.get("message"), code)
            self._told = {}
            return
        self.step()

    def _forget(self) -> None:
        self._job, self._told, self._refused = None, {}, None
        self._asking.forget()


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _ident(job: str) -> str:
    """What the update of a job is called."""
    return f"job:{job}"
