"""`gluon-edge`: the commands of the device, their arguments, and how they end."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import __version__
from edge.errors import EdgeError
from edge.log import set_up_logging
from edge.verbs import agent, bundles, device, letters

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names it nowhere else

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
        return agent.fail(str(e))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has left; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as e:
        log.debug("", exc_info=True)
        return agent.fail(f"{e.filename or 'output'}: {e.strerror or e}")
    except Exception as e:
        log.debug("", exc_info=True)
        return agent.fail(f"unexpected {type(e).__name__}: {e}; please report it with what --verbose prints")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gluon-edge",
        description="The agent on the camera node, and its tools.",
        epilog="example: gluon-edge run -c agent.toml",
    )
    parser.add_argument("--version", action="version", version=f"gluon-edge {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    run = _command(commands, "run", agent.run, "Run the agent until SIGTERM or Ctrl-C.", "-c agent.toml")
    # A Greengrass component is configured by its deployment.
    _add_config(run, required="AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT" not in os.environ)

    predict = _command(
        commands, "predict", agent.predict, "What a model says of pictures.", "ssd.zip street.jpg --draw out/"
    )
    predict.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's folder or zip")
    predict.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    predict.add_argument("--draw", type=Path, metavar="DIR", help="draw the results into this folder")
    what = "for a pose net: who finds the persons (default: a picture is one person)"
    predict.add_argument("--detector", type=Path, metavar="BUNDLE", help=what)
    predict.add_argument("--threshold", type=_number(float, 0.0, 1.0), metavar="SCORE", help="least score, 0 to 1")
    _add_json(predict, "a JSON object an image, a line each")
    _add_session(predict)

    watch = _command(commands, "watch", agent.watch, "Show events as they come.", "--broker mqtt://localhost:1883")
    watch.add_argument("--broker", metavar="URL", help="default: mqtt://localhost:1883")
    watch.add_argument("--topic", metavar="FILTER", help="default: edge/#")
    watch.add_argument("--count", type=_number(int, 1), metavar="N", help="stop after N events")
    watch.add_argument("--seconds", type=_number(float, 0.0), metavar="S", help="stop after S seconds")
    watch.add_argument("--username", metavar="NAME")
    watch.add_argument("--password-file", type=Path, metavar="FILE", help="a file that only you may read")
    _add_config(watch, required=False)
    _add_json(watch, "a JSON object a message, a line each, and the sums at the end")

    _add_audit(commands)
    _add_said(commands)
    _add_dead(commands)
    _add_bundle(commands)
    _add_config_group(commands)
    _add_device_tools(commands)
    _add_doctor(commands)
    _add_demo(commands)
    _add_service(commands)
    _add_update(commands)
    return parser


def _add_update(commands: "Commands") -> None:
    text = "Bring a new model to the node: verified, proven beside the old one, switched to, and watched."
    update = _command(commands, "update", agent.update, text, "street.zip -c /etc/gluon-edge/agent.toml")
    update.add_argument("what", metavar="FILE.zip|URL", help="a bundle's zip, or where it is: https://...")
    update.add_argument("--sha256", metavar="HEX", help="what a URL's archive must have")
    update.add_argument(
        "-c",
        "--config",
        type=Path,
        default=Path("/etc/gluon-edge/agent.toml"),
        metavar="FILE",
        help="the node's configuration (default: /etc/gluon-edge/agent.toml)",
    )
    update.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="where the agent keeps its state, if not as configured"
    )
    _add_json(update)


def _add_service(commands: "Commands") -> None:
    group = _group(commands, "service", "The agent as a service of systemd.", "install --dry-run")
    for name, verb, text in (
        ("install", agent.service, "Make it start with the machine, watched and in a sandbox."),
        ("status", agent.service, "How it is; status 0 when it runs."),
        ("uninstall", agent.service, "Take it away; the configuration stays, and so does the state without --purge."),
    ):
        sub = _command(group, name, verb, text, "-c /etc/gluon-edge/agent.toml" + (" --dry-run" * (name != "status")))
        sub.set_defaults(what=name)
        sub.add_argument(
            "-c",
            "--config",
            type=Path,
            default=Path("/etc/gluon-edge/agent.toml"),
            metavar="FILE",
            help="/etc/gluon-edge/agent.toml (default), or /etc/gluon-edge/NAME.toml for one of several",
        )
        _add_json(sub)
        if name != "status":
            sub.add_argument("--dry-run", action="store_true", help="only tell what would be done")
        if name == "install":
            boards = ("auto", "none", "raspberry-pi", "jetson")
            sub.add_argument("--board", choices=boards, default="auto", help="whose devices to allow (default: auto)")
            sub.add_argument("--force", action="store_true", help="replace a unit that somebody else has written")
        if name == "uninstall":
            sub.add_argument("--purge", action="store_true", help="remove the state too: undelivered events are lost")


def _add_audit(commands: "Commands") -> None:
    text = "Prove that nothing was lost: what watch has heard against the node's receipts and its disk."
    audit = _command(commands, "audit", agent.audit, text, "heard.jsonl --spool /var/lib/gluon-edge/kerb-1.spool")
    audit.add_argument("log", type=Path, metavar="LOG", help="what `gluon-edge watch --json` has written")
    audit.add_argument("--spool", type=Path, metavar="FILE", help="the spool of a node that is stopped")
    audit.add_argument("--node", metavar="NAME", help="default: every node in the log")
    _add_json(audit)


def _add_said(commands: "Commands") -> None:
    text = "What a stopped node was told, by its own account: every command done, refused or interrupted."
    said = _command(commands, "commands", agent.said, text, "/var/lib/gluon-edge/kerb-1.spool")
    said.add_argument("spool", type=Path, metavar="SPOOL", help="the spool of a node that is stopped")
    _add_json(said)


def _add_dead(commands: "Commands") -> None:
    group = _group(commands, "dead", "What a stopped node could never send.", "list /var/lib/gluon-edge/kerb-1.spool")
    for name, verb, numbers, text in (
        ("list", letters.look, "", "Each with the reason."),
        ("show", letters.look, "+", "What some of them say."),
        ("retry", letters.change, "*", "Queue them once more, as when a broker takes larger messages now."),
        ("drop", letters.change, "*", "Throw them away; a receipt has told that they went."),
    ):
        sub = _command(group, name, verb, text, "/var/lib/gluon-edge/kerb-1.spool" + " 3" * bool(numbers))
        sub.set_defaults(what=name, numbers=[])
        sub.add_argument("spool", type=Path, metavar="SPOOL", help="the spool of a node that is stopped")
        if numbers:
            sub.add_argument("numbers", type=int, nargs=numbers, metavar="N", help="its number in the list")
        if numbers == "*":
            sub.add_argument("--all", action="store_true", help="every one")
        _add_json(sub)


def _add_demo(commands: "Commands") -> None:
    text = "A broker, the agent and a subscriber at once, on this machine."
    demo = _command(commands, "demo", agent.demo, text, "ssd.zip --source 0")
    demo.add_argument(
        "bundle", type=Path, nargs="?", metavar="BUNDLE",
        help="a bundle's folder or zip (default: one that comes along, for 15 s of the pattern camera)",
    )  # fmt: skip
    demo.add_argument("--source", help="a video, a folder of images, a camera's index or URL (default: 0)")
    demo.add_argument("--start", type=_number(float, 0.0), default=0.0, metavar="S", help="skip S seconds of a video")
    demo.add_argument("--seconds", type=_number(float, 0.1), metavar="S", help="stop after S seconds")
    demo.add_argument(
        "-o", "--output", type=Path, default=Path("gluon-edge-demo"), metavar="DIR", help="for the pictures"
    )


def _add_bundle(commands: "Commands") -> None:
    group = _group(commands, "bundle", "Look into bundles, and test them on this device.", "test ssd.zip")
    for name, verb, text in (
        ("info", bundles.info, "What a bundle holds."),
        ("verify", bundles.verify, "Check the signature, and every file against its SHA-256."),
        ("test", bundles.test, "Run the golden sample on this device's own kernels."),
    ):
        sub = _command(group, name, verb, text, "ssd.zip")
        sub.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's folder or zip")
        _add_json(sub)
        if name == "test":
            _add_session(sub)
        if name == "verify":
            what = "a public key that may sign; repeatable"
            sub.add_argument("--key", type=Path, action="append", default=[], metavar="FILE", help=what)
            what = "ask what this node asks: its keys, its name and processor, the versions that it has had"
            sub.add_argument("-c", "--config", type=Path, metavar="FILE", help=what)
    _add_json(_command(group, "schema", bundles.schema, "The manifest's JSON Schema.", "> bundle.schema.json"))


def _add_config_group(commands: "Commands") -> None:
    group = _group(commands, "config", "Check, show or describe configurations.", "check -c agent.toml")
    for name, verb, text in (
        ("check", agent.config_check, "Everything that is wrong, a line each."),
        ("show", agent.config_show, "The configuration with every default."),
    ):
        sub = _command(group, name, verb, text, "-c agent.toml")
        _add_config(sub)
        _add_json(sub)
    _add_json(_command(group, "schema", agent.config_schema, "The configuration's JSON Schema.", "> agent.schema.json"))


def _add_device_tools(commands: "Commands") -> None:
    text = "Find the fastest provider, threads and precision on this device, and keep them for run."
    tune = _command(commands, "tune", device.tune, text, "ssd.zip ssd-int8.zip --latency-ms 50")
    tune.add_argument(
        "bundles", type=Path, nargs="+", metavar="BUNDLE", help="bundles of one model: float, int8, sizes"
    )
    tune.add_argument(
        "--seconds", type=_number(float, 1.0, 3600.0), default=60.0, metavar="S", help="how long to try (default: 60)"
    )
    tune.add_argument(
        "--latency-ms",
        type=_number(float, 0.0),
        metavar="MS",
        help="of the ways that are this fast, keep the one that costs least CPU",
    )
    tune.add_argument(
        "--cpu-ms",
        type=_number(float, 0.0),
        metavar="MS",
        help="of the ways that cost no more CPU a frame, which stands for power, keep the fastest",
    )
    _add_config(tune, required=False)
    _add_json(tune)

    text = "How many frames a second, where the time goes, and what it costs."
    bench = _command(commands, "bench", device.bench, text, "ssd.zip --source street.mp4")
    bench.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's folder or zip")
    bench.add_argument("--source", metavar="FILE", help="a video or a folder of images (default: the golden picture)")
    bench.add_argument(
        "--size",
        type=_size,
        default=(1280, 720),
        metavar="WxH",
        help="of the golden picture's JPEG (default: 1280x720)",
    )
    bench.add_argument(
        "--seconds", type=_number(float, 0.1, 3600.0), default=10.0, metavar="S", help="how long (default: 10)"
    )
    _add_config(bench, required=False)
    _add_json(bench)
    _add_session(bench, provider=None)


def _add_doctor(commands: "Commands") -> None:
    text = "What is wrong on this device, and the command that mends it."
    doctor = _command(commands, "doctor", device.doctor, text, "-c agent.toml")
    _add_config(doctor, required=False)
    _add_json(doctor)


def _command(
    commands: "Commands", name: str, verb: Callable[[argparse.Namespace], int], text: str, example: str
) -> argparse.ArgumentParser:
    sub = commands.add_parser(name, help=text, description=text)
    sub.epilog = f"example: {sub.prog} {example}"
    sub.add_argument("-v", "--verbose", action="store_true", help="tell more on stderr")
    sub.set_defaults(command=verb)
    return sub


def _group(commands: "Commands", name: str, text: str, example: str) -> "Commands":
    sub = commands.add_parser(name, help=text, description=text)
    sub.epilog = f"example: {sub.prog} {example}"
    return sub.add_subparsers(metavar="COMMAND", required=True)


def _add_config(sub: argparse.ArgumentParser, *, required: bool = True) -> None:
    sub.add_argument("-c", "--config", type=Path, required=required, metavar="FILE", help="the configuration, TOML")


def _add_json(sub: argparse.ArgumentParser, text: str = "JSON on stdout") -> None:
    sub.add_argument("--json", action="store_true", help=text)


def _add_session(sub: argparse.ArgumentParser, provider: str | None = "cpu") -> None:
    providers = ("cpu", "xnnpack", "openvino", "cuda", "tensorrt")
    default = provider or "what tune found, else cpu"
    sub.add_argument("--provider", choices=providers, default=provider, help=f"what to run on (default: {default})")
    sub.add_argument("--threads", type=_number(int, 0, 256), default=0, metavar="N", help="default: as many as cores")


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and 1 <= int(width) <= 16_384 and 1 <= int(height) <= 16_384):
        raise argparse.ArgumentTypeError(f"{text!r} is not a width and a height, such as 1280x720")
    return int(width), int(height)


def _number(kind: Callable[[str], Any], least: float, most: float = float("inf")) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        value = kind(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between {least:g} and {most:g}")
        return value

    parse.__name__ = "number"
    return parse
