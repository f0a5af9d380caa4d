"""The agent with a model whose runtime hangs for ever from a moment on, as a driver may: when FILE appears."""

import sys
import time
from pathlib import Path

from edge.cli import main
from edge.inference.session import Session

work = Session.infer
flag = Path(sys.argv.pop(1))


def hang(self, images):
    while flag.exists():
        time.sleep(0.1)
    return work(self, images)


Session.infer = hang
sys.exit(main(sys.argv[1:]))
