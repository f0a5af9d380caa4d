"""`gluon-edge`: the device's command line. Each verb is a file of `edge.verbs`; here is how they end."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence

from edge import __version__
from edge.errors import EdgeError
from edge.log import set_up_logging
from edge.verbs import audit, bundle, config, dead, demo, doctor, predict, run, service, speed, update, watch
from edge.verbs.verb import fail

__all__ = ["main"]

log = logging.getLogger(__name__)

_QUIET = {
    # OpenCV and FFmpeg write whole URLs, passwords included, to stderr when a camera is away.
    "OPENCV_LOG_LEVEL": "OFF",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    # A V4L2 camera that stops sending would block for 10 s.
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "3",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status: 0 done, 1 not, 2 wrong usage, 130 on Ctrl-C."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        args = _parser().parse_args(argv)
        set_up_logging(verbose=args.verbose)
        command: Callable[[argparse.Namespace], int] = args.command
        return command(args)
    except EdgeError as e:
        log.debug("", exc_info=True)
        return fail(str(e))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has left; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as e:
        log.debug("", exc_info=True)
        return fail(f"{e.filename or 'output'}: {e.strerror or e}")
    except Exception as e:
        log.debug("", exc_info=True)
        return fail(f"unexpected {type(e).__name__}: {e}; please report it with what --verbose prints")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gluon-edge",
        description="The agent on the camera node, and its tools.",
        epilog="example: gluon-edge run -c agent.toml",
    )
    parser.add_argument("--version", action="version", version=f"gluon-edge {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    # In the order of the help: the agent, what it says, what it runs, and where it runs.
    for verbs in (run, predict, watch, audit, dead, bundle, config, speed, doctor, demo, service, update):
        verbs.add(commands)
    return parser
