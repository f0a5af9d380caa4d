"""What AWS IoT Core may see and set of a node, put together: jobs bring models, the shadow sets what commands set."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from edge import __version__
from edge.aws.jobs import Jobs, Updates
from edge.aws.services import AwsServices, Say, Service
from edge.aws.shadow import Settings, Shadow
from edge.commands.control import Control
from edge.commands.gate import VERBS
from edge.config import Config
from edge.updates.updater import Updater

__all__ = ["aws_services"]


def aws_services(
    config: Config,
    *,
    say: Say,
    control: Control,
    updater: Callable[[], Updater],
    model: Callable[[], Mapping[str, Any]],
    keep: Callable[[Mapping[str, Any]], None],
) -> AwsServices | None:
    """The services that a configuration asks for, None for none.

    `updater` and `model`, the running model as events name it, are asked when they are needed; `keep` makes settings
    last over a restart.
    """
    aws = config.aws
    if aws.thing is None:
        return None
    services: list[Service] = []
    if aws.jobs and config.updates.enabled:
        updates = Updates(
            lambda request: updater().request(request),
            lambda: updater().current,
            lambda: updater().percent,
            lambda ident: updater().cancel(ident),
        )
        services.append(Jobs(aws.thing, say, updates))
    if aws.shadow is not None:
        settings = Settings(_setters(control, keep), lambda: _reported(control, model(), updater()))
        services.append(Shadow(aws.thing, aws.shadow, say, settings))
    return AwsServices(services)


def _setters(control: Control, keep: Callable[[Mapping[str, Any]], None]) -> dict[str, Callable[[Any], None]]:
    verbs = control.verbs()

    def do(verb: str, args: dict[str, Any]) -> None:
        """As if it were a command: the same bounds, the same effect."""
        try:
            checked = VERBS[verb].model_validate(args).model_dump(exclude_none=True)
        except ValidationError as e:
            first = e.errors(include_url=False, include_input=False, include_context=False)[0]
            raise ValueError(first["msg"]) from e
        _, lasting = verbs[verb](checked)
        keep(lasting)

    def detect(cameras: Any) -> None:
        if not isinstance(cameras, dict):
            raise ValueError("an object it must be: camera to true or false")  # noqa: TRY004 - of a document, not of ours
        for camera, on in cameras.items():
            do("detect", {"camera": camera, "on": on})

    return {"threshold": lambda value: do("threshold", {"value": value}), "detect": detect}


def _reported(control: Control, model: Mapping[str, Any], updater: Updater) -> dict[str, Any]:
    update = updater.current
    found = {**control.state(), "model": dict(model), "version": __version__}
    if found["threshold"] is None:
        del found["threshold"]
    if update is not None:
        found["update"] = {"id": update.request.id, "phase": update.phase}
        if update.reason:
            found["update"]["reason"] = update.reason
    return found
