"""`gluon-edge run`: the agent."""

import argparse
import os
from typing import TYPE_CHECKING

from edge.verbs.verb import add_command, add_config

if TYPE_CHECKING:
    from edge.aws.component import Component
    from edge.verbs.verb import Commands

__all__ = ["add"]


def add(commands: "Commands") -> None:
    """The words of the verb."""
    sub = add_command(commands, "run", run, "Run the agent until SIGTERM or Ctrl-C.", "-c agent.toml")
    # A Greengrass component is configured by its deployment.
    add_config(sub, required="AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT" not in os.environ)


def run(args: argparse.Namespace) -> int:
    """The agent."""
    from edge.config.file import load_config

    if args.config is None:
        from edge.aws.component import Component

        return _run_component(Component())
    config = load_config(args.config)
    from edge import run as life

    component = None
    if config.transport == "greengrass":
        from edge.aws.component import Component

        component = Component(configured=False)
    return life.run(config, lambda: load_config(args.config), component)


def _run_component(component: "Component") -> int:
    """The agent, configured by the nucleus."""
    from edge import run as life
    from edge.errors import ConfigError

    try:
        config = component.config()
    except ConfigError:
        component.nucleus.tell_state("ERRORED")
        component.close()
        raise
    return life.run(config, component.config, component)
