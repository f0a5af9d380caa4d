"""`gluon-edge update`: to the agent that runs, by its inbox on the disk; or the whole way here when none does."""

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from edge.bundle.admission import admitted, trust_of
from edge.bundle.bundle import Bundle
from edge.config import Config
from edge.errors import ConfigError, PermanentError
from edge.inference.session import SessionOptions
from edge.inference.tuned import options_for
from edge.sequence import new_id
from edge.updates.configured import models_of, updater_of
from edge.updates.host import NoAgent
from edge.updates.models import Models
from edge.updates.state import Request, Update

__all__ = ["bring"]

_LOOK_S = 0.2
_TAKEN_WITHIN_S = 15.0


def bring(config: Config, what: str, sha256: str | None, tell: Callable[[Update], None]) -> Update:
    """Brings the archive at `what`, a file or an https URL, to the node of a configuration; how it ended.

    With phase `watching` it is installed and no agent runs: the next one that starts watches it.

    Raises:
        ConfigError: when the digest of a URL is missing, or the state folder cannot be used.
        PermanentError: when the agent does not take it.
    """
    models = models_of(config)
    archive = None if "://" in what else Path(what).absolute()
    if archive is not None:
        sha256 = _digest(archive)
    elif sha256 is None:
        raise ConfigError("--sha256 is needed with a URL: what comes must be what you mean")
    ident = f"cli:{new_id(time.time_ns())}"
    if not models.own():
        return _hand_over(models, ident, archive, what, sha256, tell)
    try:
        url = archive.as_uri() if archive is not None else what
        return _alone(config, models, _request(ident, url, sha256), tell)
    finally:
        models.release()


def _alone(config: Config, models: Models, request: Request, tell: Callable[[Update], None]) -> Update:
    def options(bundle: Bundle) -> SessionOptions:
        return options_for(bundle, config.model, config.state_folder)

    host = NoAgent(models.pick(lambda: admitted(config), trust_of(config)), options)
    updater = updater_of(config, models, host, tell)
    updater.request(request)
    ended = updater.carry_out()
    assert ended is not None  # noqa: S101 - nobody stops us but an interrupt
    return ended


def _hand_over(
    models: Models, ident: str, archive: Path | None, url: str, sha256: str, tell: Callable[[Update], None]
) -> Update:
    wish = models.inbox / f"{ident.replace(':', '-')}.json"
    try:
        if archive is not None:
            # The agent may not see where it lies; and it must not change under its eyes.
            copy = models.inbox / f"{sha256}.zip"
            _give(models, copy, lambda fresh: shutil.copyfile(archive, fresh))
            url = copy.as_uri()
        text = _request(ident, url, sha256).model_dump_json()
        _give(models, wish, lambda fresh: fresh.write_text(text))
    except OSError as e:
        raise ConfigError(f"{e.filename or models.inbox}: {e.strerror}; is it another user's agent? try sudo") from e
    return _follow(models, ident, wish, tell)


def _follow(models: Models, ident: str, wish: Path, tell: Callable[[Update], None]) -> Update:
    deadline = time.monotonic() + _TAKEN_WITHIN_S
    told = None
    while True:
        update = models.peek().update
        if update is not None and update.request.id == ident:
            if update.phase != told:
                told = update.phase
                tell(update)
            if update.over:
                return update
        elif told is not None:
            raise PermanentError("another update has taken its place")
        elif not wish.exists():
            busy = f": {update.request.id} is {update.phase}" if update is not None and not update.over else ""
            raise PermanentError(f"the agent has not taken it{busy}; its log says why")
        elif time.monotonic() > deadline:
            wish.unlink(missing_ok=True)
            raise PermanentError("the agent that runs takes no updates; see updates.enabled")
        time.sleep(_LOOK_S)


def _give(models: Models, path: Path, make: Callable[[Path], object]) -> None:
    """A file that the agent finds whole, and may read and remove, whoever we are."""
    fresh = path.with_suffix(".part")
    make(fresh)
    owner = models.folder.stat()
    if os.geteuid() == 0:
        os.chown(fresh, owner.st_uid, owner.st_gid)
    fresh.replace(path)


def _request(ident: str, url: str, sha256: str) -> Request:
    try:
        return Request(id=ident, url=url, sha256=sha256, source="cli")
    except ValueError:
        raise ConfigError("it takes a file, or an https:// URL with --sha256 of 64 hex digits") from None


def _digest(archive: Path) -> str:
    total = hashlib.sha256()
    try:
        with archive.open("rb") as f:
            while chunk := f.read(1 << 20):
                total.update(chunk)
    except OSError as e:
        raise ConfigError(f"{archive}: {e.strerror}") from e
    return total.hexdigest()
