"""The steps between an archive and a model that runs: each raises when the new model must not go on."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from edge.bundle.bundle import Bundle, read_bundle
from edge.bundle.trust import Trust
from edge.bundle.unpack import unpack
from edge.bundle.versions import Versions
from edge.config import UpdatesConfig
from edge.errors import BundleRefusedError
from edge.inference.stages import Timing
from edge.scene.sighting import told_labels
from edge.updates.compare import Comparison, agreement, findings, too_slow
from edge.updates.host import Host, Tap
from edge.updates.models import Models
from edge.updates.trial import Bounds, Trial, TrialError

__all__ = ["Steps", "StoppedError"]

log = logging.getLogger(__name__)

_TURN_S = 0.25
_TOO_MANY_FAILURES = 3


class StoppedError(Exception):
    """The agent stops: the update goes on at its next start."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What they need. `configured` reads the bundle of the configuration; `stopping` is asked while they wait."""

    models: Models
    host: Host
    settings: UpdatesConfig
    trust: Trust
    versions: Versions
    configured: Callable[[], Bundle]
    stopping: Callable[[], bool]
    _trials: list[Trial] = field(default_factory=list)

    def interrupt(self) -> None:
        """Ends whatever process is on trial, so that nobody waits for it."""
        for trial in list(self._trials):
            trial.kill()

    def verify(self, archive: Path) -> Bundle:
        """Signature, target, digests, version, and whether it does the work of the one that runs.

        Raises:
            BundleError: why not.
        """
        bundle = read_bundle(archive, self.trust)
        running = self.host.running().manifest
        self.versions.refuse_older(archive, bundle.manifest, running)
        if bundle.manifest.task != running.task:
            text = f"{archive}: is for {bundle.manifest.task}, this node does {running.task}"
            raise BundleRefusedError(text, reason="wrong_target")
        return bundle

    def install(self, archive: Path, digest: str) -> Bundle:
        """The bundle in its folder beside the others; one that lies there whole already is taken.

        Raises:
            BundleError: damaged, refused, or the folder cannot be written.
        """
        folder = self.models.path(digest)
        if folder.exists():
            return self.models.read(digest, self.trust)
        return unpack(archive, folder, trust=self.trust, versions=self.versions)

    def probe(self, bundle: Bundle) -> tuple[Trial, dict[str, Any]]:
        """The new model in a process of its own, proven by its golden sample, and timed beside the running one's.

        Raises:
            TrialError: it computes something else, is too slow, takes too much, or dies.
        """
        trial = self._trial(bundle)
        try:
            found = dict(trial.told)
            running = self.host.running()
            if running.digest != bundle.digest and "golden/input.png" in running.files:
                # The same machine at the same time, whatever else it has to do.
                with self._trial(running) as other:
                    found["old_frame_ms"] = other.told["frame_ms"]
                self._refuse(too_slow(found["old_frame_ms"], found["frame_ms"], self.settings.max_slowdown))
        except BaseException:
            trial.close()
            raise
        return trial, found

    def shadow(self, trial: Trial, bundle: Bundle) -> dict[str, Any]:
        """The new model beside the running one on live frames; what the comparison found.

        Raises:
            TrialError: it fails, disagrees, or is too slow.
        """
        settings = self.settings
        running = self.host.running()
        labels = told_labels(running)
        known = frozenset(labels) & frozenset(told_labels(bundle))
        comparison, tap = Comparison(), Tap()
        deadline = time.monotonic() + settings.shadow_s
        self.host.listen(tap)
        try:
            while self.host.lives and len(comparison.agreements) < settings.shadow_frames:
                self._go_on()
                if time.monotonic() > deadline:
                    break
                seen = tap.take(_TURN_S)
                if seen is None:
                    continue
                frame, result, timing = seen
                old = findings(result, frame.image, labels, threshold=running.manifest.thresholds.score)
                new, new_ms = trial.look(frame.image)
                comparison.add(agreement(old, new, known=known), old_ms=_whole(timing), new_ms=new_ms)
        finally:
            self.host.listen(None)
        self._refuse(comparison.verdict(min_agreement=settings.min_agreement, max_slowdown=settings.max_slowdown))
        return comparison.found()

    def watch(self, old_ms: float | None) -> dict[str, Any]:
        """The new model at work: `watch_s` long, and until it has looked at a frame.

        Raises:
            TrialError: it fails on frames, has become too slow, or no camera shows it one in `watch_longest_s`.
        """
        times: list[float] = []
        failures, tap = self.host.failures(), Tap(64)
        watch_s, longest_s = self.settings.watch_s, max(self.settings.watch_s, self.settings.watch_longest_s)
        begun = time.monotonic()
        self.host.listen(tap)
        try:
            while (waited := time.monotonic() - begun) < watch_s or not times:
                self._go_on()
                if waited > longest_s:
                    # Nobody has seen it at work: whoever waits for the end hears one, and may try again.
                    raise TrialError(f"no camera has given it a frame in {longest_s:g} s: updates.watch_longest_s")
                seen = tap.take(_TURN_S)
                if seen is not None:
                    times.append(_whole(seen[2]))
                failed = self.host.failures() - failures
                self._refuse(
                    f"it has failed on {failed} frames, or said what is not a number"
                    if failed >= _TOO_MANY_FAILURES
                    else None
                )
        finally:
            self.host.listen(None)
        now_ms = median(times)
        self._refuse(None if old_ms is None else too_slow(old_ms, now_ms, self.settings.max_slowdown))
        return {"watched_frames": len(times), "watched_ms": round(now_ms, 3)}

    def before(self) -> Bundle:
        """The bundle that counts now, from the disk.

        Raises:
            EdgeError: when there is none left.
        """
        return self.models.pick(self.configured, self.trust)

    def _trial(self, bundle: Bundle) -> Trial:
        settings = self.settings
        bounds = Bounds(settings.max_memory_mb << 20, settings.max_cpu_s, settings.probe_s)
        trial = Trial(bundle, self.host.options(bundle), bounds)
        self._trials[:] = [trial]
        try:
            trial.prove()
        except BaseException:
            trial.close()
            raise
        return trial

    @staticmethod
    def _refuse(reason: str | None) -> None:
        if reason is not None:
            raise TrialError(reason)

    def _go_on(self) -> None:
        if self.stopping():
            raise StoppedError


def _whole(timing: Timing) -> float:
    return timing.pre_ms + timing.infer_ms + timing.post_ms
