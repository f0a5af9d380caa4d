"""`python -m edge.updates.child FD`: a model in a process of its own, under limits: whatever it does, the agent lives.

Reads the job from the socket FD, loads the bundle, runs its golden sample, tells; then a result for each frame it is
given, until the socket is closed. `edge.updates.trial` is the other side.
"""

import json
import resource
import socket
import sys
from typing import Any

from edge.scene.sighting import told_labels
from edge.updates.wire import receive, send

_TIMED_RUNS = 7


def limit(*, memory_bytes: int, cpu_s: int) -> None:
    """Bounds what this process may take; a driver's reservations without memory behind them are not counted."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(descriptor: int) -> int:
    """Serves one model; the status is 0 when it was let go."""
    with socket.socket(fileno=descriptor) as sock:
        job, _ = receive(sock)
        limit(memory_bytes=job["memory_bytes"], cpu_s=job["cpu_s"])
        try:
            serve(sock, job)
        except EOFError:
            return 0
        except MemoryError:
            send(sock, {"error": f"it needs more than {job['memory_bytes'] >> 20} MiB of memory"})
        except Exception as e:  # noqa: BLE001 - anything is told in one line, and is the model's fault
            text = " ".join(str(e).split())[:500] or type(e).__name__
            if "bad_alloc" in text or "allocate memory" in text:
                text = f"it needs more than {job['memory_bytes'] >> 20} MiB of memory"
            send(sock, {"error": text})
    return 1


def serve(sock: socket.socket, job: dict[str, Any]) -> None:
    """Loads, proves, and looks."""
    import time
    from pathlib import Path

    import numpy as np

    from edge.bundle.bundle import read_bundle
    from edge.errors import BundleError
    from edge.inference.golden import check, golden_image
    from edge.inference.session import SessionOptions
    from edge.inference.stages import Stage
    from edge.updates.compare import findings
    from edge.updates.sound import refuse_what_is_no_number

    bundle = read_bundle(Path(job["bundle"]))
    if bundle.digest != job["digest"]:
        raise BundleError("it is not the bundle that was verified")
    options = dict(job["options"])
    options["providers"] = tuple(options["providers"])
    options["cache_dir"] = Path(options["cache_dir"]) if options["cache_dir"] else None
    begun = time.perf_counter()
    stage = Stage(bundle, SessionOptions(**options), threshold=job["threshold"])
    load_s = time.perf_counter() - begun
    image = golden_image(bundle)
    refuse_what_is_no_number(stage, image)
    report = check(bundle, stage)
    if not report.ok:
        raise BundleError(f"its golden sample does not come out here: {report.problems[0]}")
    # The best of several: whatever else the machine has to do at the moment only adds to it.
    times = []
    for _ in range(_TIMED_RUNS):
        _, timing = stage(image)
        times.append(timing.pre_ms + timing.infer_ms + timing.post_ms)
    provider, peak_kb = stage.session.provider, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    send(sock, {"provider": provider, "load_s": load_s, "frame_ms": min(times), "peak_mb": peak_kb >> 10})
    while True:
        header, body = receive(sock)
        frame = np.frombuffer(body, np.uint8).reshape(header["height"], header["width"], 3)
        refuse_what_is_no_number(stage, frame)
        result, timing = stage(frame)
        found = findings(result, frame, told_labels(bundle), threshold=stage.threshold)
        send(sock, {"found": found, "ms": timing.pre_ms + timing.infer_ms + timing.post_ms})


if __name__ == "__main__":
    try:
        sys.exit(main(int(sys.argv[1])))
    except (OSError, json.JSONDecodeError):
        sys.exit(1)  # the agent is gone
