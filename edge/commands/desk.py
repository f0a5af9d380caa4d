"""Takes what is said to a node: commands, switches, Home Assistant's hello; has them done, answers, and writes it down.

The uplink's thread hears and answers; a thread of the desk's own does what may take long. A command is on the disk
before its arrival is confirmed to the broker, and its answer goes into the spool in the transaction that marks it done.
"""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from edge.commands.answers import Answers, Job
from edge.commands.gate import Command, CommandError, Gate, switch_of
from edge.delivery.outbox import record_of
from edge.errors import EdgeError
from edge.message import Importance, Message
from edge.reporting.payloads import Payloads
from edge.spool import Spool
from edge.spool.errors import StoreCorruptError, StoreError
from edge.transports.transport import Received

__all__ = ["Desk", "Done"]

log = logging.getLogger(__name__)

_QUEUE = 100
_NOTED_S = 5.0

Done = tuple[dict[str, Any], dict[str, Any]]
"""What a command has brought, and the settings that are to last."""

_NOTHING: Done = ({}, {})


_REPEATABLE = frozenset({"detect", "threshold", "reload"})
"""What may be done again when nobody knows whether it was: it sets something to a value."""


class Desk:
    """Hears for a node. `verbs` do what is asked and may take long; `switches` are set at once, by camera and name."""

    def __init__(
        self,
        payloads: Payloads,
        gate: Gate,
        verbs: Mapping[str, Callable[[dict[str, Any]], Done]],
        switches: Mapping[tuple[str, str], Callable[[bool], None]],
        *,
        hello: str | None = None,
        introduce: Callable[[], None] = lambda: None,
    ) -> None:
        self._payloads = payloads
        self._gate = gate
        self._verbs = verbs
        self._switches = switches
        self._hello = hello
        self._introduce = introduce
        self._base = f"{payloads.root}/{payloads.node}"
        own = (f"{self._base}/cmd/+", *(f"{self._base}/{camera}/{name}/set" for camera, name in switches))
        self.filters: tuple[str, ...] = (*own, hello) if hello else own
        self._jobs: queue.Queue[Job | None] = queue.Queue(_QUEUE)
        self._finished: queue.SimpleQueue[tuple[Job, str, Done]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="commands", daemon=True)
        self._wake: Callable[[], None] = lambda: None
        self._spool: Spool | None = None
        # What is done on the uplink's own thread: it is quick, or concerns the spool.
        self._here: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "ping": lambda _args: {},
            "replay": self._replay,
            "receipt": self._forget,
        }
        self._answers = Answers(payloads)

    @property
    def refused(self) -> int:
        """Commands and switches that were refused."""
        return self._answers.refused

    def open(self, spool: Spool, wake: Callable[[], None]) -> None:
        """Takes up what an earlier run has left undone, restores the switches, and starts to work."""
        self._spool, self._wake = spool, wake
        self._answers.open(spool)
        journal = self._answers.journal()
        settings = journal.settings() if journal else {}
        for (camera, name), switch in self._switches.items():
            on = bool(settings.get(f"switch:{camera}/{name}", True))
            switch(on)
            self._tell_switch(camera, name, on=on)
        for entry in journal.unfinished() if journal else []:
            verb = entry.topic.rsplit("/", 1)[-1]
            if entry.started:
                # It may have happened or not; doing it again is worse than saying so.
                self._answers.settle(
                    Job(Command(entry.id, verb)), "interrupted", {"reason": "the node stopped meanwhile"}, {}
                )
                continue
            try:
                job = Job(self._gate.again(verb, entry.body))
            except CommandError as e:
                self._answers.settle(Job(Command(entry.id, verb)), "refused", {"reason": str(e)}, {})
            else:
                self._take(job)
        self._thread.start()

    def close(self, timeout_s: float) -> bool:
        """Stops working; whether the thread has ended."""
        if not self._thread.is_alive():
            return True
        try:
            self._jobs.put(None, timeout=timeout_s)
        except queue.Full:
            return False
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def saved(self, name: str) -> Any:
        """A setting that was made to last, or None."""
        journal = self._answers.journal()
        return journal.settings().get(name) if journal else None

    def keep(self, settings: Mapping[str, Any]) -> None:
        """Makes settings last that did not come by a command. On the uplink's thread."""
        journal = self._answers.journal()
        if journal is not None:
            try:
                for name, value in settings.items():
                    journal.set(name, value)
            except (StoreError, StoreCorruptError) as e:
                log.warning("%s will not last over a restart: %s", ", ".join(settings), e)

    def counter(self, key: str) -> int:
        """The highest counter that a signing key has used."""
        journal = self._answers.journal()
        return journal.counter(key) if journal else 0

    def connected(self) -> None:
        """Introduces the node to Home Assistant."""
        self._introduce()

    def heard(self, message: Received) -> None:
        """A command, a switch or a hello; when this returns, it is written down."""
        if message.topic == self._hello:
            if message.payload == b"online":
                self._introduce()
            return
        levels = message.topic.removeprefix(self._base + "/").split("/")
        if len(levels) == 2 and levels[0] == "cmd":
            self._hear_command(levels[1], message)
        elif len(levels) == 3 and levels[2] == "set" and (levels[0], levels[1]) in self._switches:
            self._hear_switch(levels[0], levels[1], message)

    def step(self, *, last: bool = False) -> None:
        """Answers what is done, and writes down what was refused; `last` says that nothing comes after this."""
        self._answers.step(last=last)
        while True:
            try:
                job, status, (result, settings) = self._finished.get_nowait()
            except queue.Empty:
                return
            if status == "started":
                self._note(job)
            else:
                self._answers.settle(job, status, result, settings)

    def _note(self, job: Job) -> None:
        journal = self._answers.journal()
        if journal is not None:
            try:
                journal.start(job.command.id)
            except (StoreError, StoreCorruptError) as e:
                # It was accepted and is done all the same; only a crash in the middle would do it again.
                log.warning("command %s: that it has begun is not written down: %s", job.command.id, e)
        job.noted.set()

    def _hear_command(self, verb: str, message: Received) -> None:
        journal = self._answers.journal()
        if message.retain or journal is None:
            reason = "it is retained, and would come again with every connection"
            self._answers.refuse(verb, None, reason if message.retain else "the node's disk fails", message)
            return
        try:
            command = self._gate.read(verb, message.payload)
            at_s = self._payloads.clock.wall_ns() // 1_000_000_000
            new = journal.receive(
                command.id, message.topic, message.payload, at_s=at_s, key=command.key, counter=command.counter or 0
            )
        except (CommandError, StoreError, StoreCorruptError) as e:
            ident = e.id if isinstance(e, CommandError) else None
            if ident is None or not journal.knows(ident):
                self._answers.refuse(verb, ident, str(e), message)
                return
            new = False
        if not new:
            log.info("command %s came again: it is done once", verb[:32])
            return
        log.info("command %s %s accepted%s", verb, command.id, f" key={command.key}" if command.key else "")
        self._take(Job(command, message.answer_to, message.correlation))

    def _take(self, job: Job) -> None:
        here = self._here.get(job.command.verb)
        if here is not None:
            self._answers.settle(job, "done", here(job.command.args), {})
            return
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self._answers.settle(job, "refused", {"reason": "too many commands wait"}, {})

    def _replay(self, args: dict[str, Any]) -> dict[str, Any]:
        return {"events": self._spool.replay(args["first_seq"], args["last_seq"]) if self._spool else 0}

    def _forget(self, args: dict[str, Any]) -> dict[str, Any]:
        return {"bytes": self._spool.forget(args["last_seq"]) if self._spool else 0}

    def _hear_switch(self, camera: str, name: str, message: Received) -> None:
        try:
            on = switch_of(message.payload)
        except CommandError as e:
            log.warning("switch %s/%s refused: %s", camera, name, e)
            self._answers.note("-", str(e), message)
            return
        journal = self._answers.journal()
        if journal is not None:
            try:
                journal.set(f"switch:{camera}/{name}", on)
            except (StoreError, StoreCorruptError) as e:
                log.warning("switch %s/%s will not outlast a restart: %s", camera, name, e)
        self._switches[camera, name](on)
        log.info("switch %s/%s %s", camera, name, "on" if on else "off")
        self._tell_switch(camera, name, on=on)

    def _tell_switch(self, camera: str, name: str, *, on: bool) -> None:
        if self._spool is not None:
            topic = self._payloads.topic(camera, name, "state")
            body = b"ON" if on else b"OFF"
            state = Message(topic, body, Importance.B, retain=True, stamped=False, last_value=True)
            self._spool.put(record_of(state))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            command = job.command
            status, done = "failed", _NOTHING
            if command.verb not in _REPEATABLE:
                self._finished.put((job, "started", _NOTHING))
                self._wake()
                job.noted.wait(_NOTED_S)
            try:
                done = self._verbs[command.verb](command.args)
                status = "done"
            except KeyError:
                done = {"reason": f"{command.verb} is not available on this node"}, {}
            except EdgeError as e:
                done = {"reason": str(e)}, {}
            except Exception as e:  # a command must not end the node
                log.exception("command %s %s", command.verb, command.id)
                done = {"reason": f"unexpected {type(e).__name__}"}, {}
            self._finished.put((job, status, done))
            self._wake()
