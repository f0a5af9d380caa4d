"""Makes what `greengrass/` describes: the artifacts of agent and model, and their recipes with versions and digests.

The agent's artifact, one an architecture, holds every wheel that it needs for each Python asked for, so that installing
it on the device wants no network. The layout is that of local deployments, and of the GDK's build folder:
`recipes/<name>-<version>.yaml`, `artifacts/<name>/<version>/<file>`.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edge import __version__
from edge.bundle.bundle import read_bundle
from export.component.lint import Finding, lint
from export.component.recipe import AgentComponent, Artifact, ModelComponent, agent_recipe, as_yaml, model_recipe
from export.component.vocabulary import count_items
from export.errors import ExportError
from export.release import pack_zip

__all__ = ["Built", "Order", "build"]

_MACHINES = {"aarch64": "aarch64", "amd64": "x86_64"}
_GLIBC = ("2_17", "2_26", "2_27", "2_28", "2_31")
_EXTRAS = "cpu,greengrass,signing"
_CHECK = """\
import sys
version, built_for = "%d.%d" % sys.version_info[:2], {pythons!r}
if version not in built_for:
    sys.exit("gluon-edge: built for Python %s, and python3 is %s here" % (", ".join(built_for), version))
"""


@dataclass(frozen=True, slots=True)
class Order:
    """What to build. `wheels` is a folder of wheels to take instead of asking the package index.

    `pythons` are the versions of python3 on the devices; `bucket` is where the artifacts will be uploaded. `gdk` builds
    one component only, with its recipe as `recipe.yaml`: AWS's GDK has one component a folder.
    """

    bundle: Path
    out: Path
    name: str = "com.example.GluonEdge"
    publisher: str = "you"
    bucket: str = "BUCKET_NAME"
    version: str = __version__
    architectures: Sequence[str] = ("aarch64", "amd64")
    pythons: Sequence[str] = ("3.11",)
    wheels: Path | None = None
    keys: Sequence[Path] = ()
    destination: Any = "iot-core"
    aws_ml_topic: str | None = None
    gdk: Literal["agent", "model"] | None = None
    configuration: Mapping[str, Any] = field(default_factory=lambda: {"cameras": {"camera": {"source": 0}}})


@dataclass(frozen=True, slots=True)
class Built:
    """The files made, and what the linter has against the recipes."""

    recipes: list[Path]
    artifacts: list[Path]
    findings: list[Finding]
    size: int
    items: int


def build(order: Order) -> Built:
    """Artifacts and recipes of agent and model.

    Raises:
        BundleError: when the bundle is not sound.
        ExportError: when a wheel cannot be had, or a file cannot be written.
    """
    unknown = sorted(set(order.architectures) - _MACHINES.keys())
    if unknown:
        raise ExportError(f"architecture {unknown[0]!r}: one of {', '.join(_MACHINES)}")
    checked = read_bundle(order.bundle)
    model_name, model_version = f"{order.name}Model", checked.manifest.version
    manifest = checked.manifest
    model_zip = _folder(order, model_name, model_version) / f"{manifest.name}.zip"
    packed = pack_zip(order.bundle, model_zip, sign=order.keys)
    model = ModelComponent(
        model_name,
        model_version,
        order.publisher,
        f"{manifest.name} {model_version}, {manifest.task}, {manifest.precision}, manifest {packed.digest[:16]}",
        Artifact(model_zip, _uri(order, model_name, model_version, model_zip), unpack=False),
    )
    artifacts = {}
    for architecture in () if order.gdk == "model" else order.architectures:
        path = _folder(order, order.name, order.version) / f"gluon-edge-{architecture}.zip"
        _agent_zip(order, architecture, path)
        artifacts[architecture] = Artifact(path, _uri(order, order.name, order.version, path), unpack=True)
    agent = AgentComponent(
        order.name,
        order.version,
        order.publisher,
        artifacts,
        model_name,
        model_version,
        order.configuration,
        destination=order.destination,
        aws_ml_topic=order.aws_ml_topic,
    )
    return _write(order, agent_recipe(agent), model_recipe(model), [*(a.path for a in artifacts.values()), model_zip])


def _write(order: Order, agent: dict[str, Any], model: dict[str, Any], artifacts: list[Path]) -> Built:
    folder = order.out / "recipes"
    folder.mkdir(parents=True, exist_ok=True)
    recipes, findings, sizes = [], [], []
    for recipe in {"agent": (agent,), "model": (model,), None: (agent, model)}[order.gdk]:
        text = as_yaml(recipe)
        name = f"{recipe['ComponentName']}-{recipe['ComponentVersion']}"
        path = folder / f"{'recipe' if order.gdk else name}.yaml"
        path.write_text(text, encoding="utf-8")
        recipes.append(path)
        sizes.append(len(text.encode()))
        findings += lint(recipe, sizes[-1])
    return Built(recipes, artifacts, findings, sizes[0], count_items(model if order.gdk == "model" else agent))


def _folder(order: Order, name: str, version: str) -> Path:
    folder = order.out / "artifacts" / name / version
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _uri(order: Order, name: str, version: str, path: Path) -> str:
    return f"s3://{order.bucket}/{name}/{version}/{path.name}"


def _agent_zip(order: Order, architecture: str, out: Path) -> None:
    with tempfile.TemporaryDirectory() as work:
        wheels = Path(work) / "wheels"
        wheels.mkdir()
        if order.wheels is not None:
            found = sorted(order.wheels.glob("*.whl"))
            if not any(w.name.startswith("gluon_edge-") for w in found):
                raise ExportError(f"{order.wheels}: has no wheel of gluon-edge; make one with 'pip wheel --no-deps .'")
            for wheel in found:
                shutil.copyfile(wheel, wheels / wheel.name)
        else:
            own = _own_wheel(wheels)
            for python in order.pythons:
                _download(own, _MACHINES[architecture], python, wheels)
        files = {
            "check.py": _CHECK.format(pythons=list(order.pythons)).encode(),
            "requirements.txt": f"gluon-edge[{_EXTRAS}]\n".encode(),
            **{f"wheels/{w.name}": w.read_bytes() for w in sorted(wheels.iterdir())},
        }
    digest = hashlib.sha256(b"".join(name.encode() + b"\0" + data for name, data in sorted(files.items())))
    files["digest"] = f"{digest.hexdigest()}\n".encode()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(files.items()):
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)


def _own_wheel(wheels: Path) -> Path:
    """This very version: from the checkout that this file is part of, else from the package index."""
    checkout = Path(__file__).resolve().parents[2]
    source = str(checkout) if (checkout / "pyproject.toml").is_file() else f"gluon-edge=={__version__}"
    _pip("wheel", "--no-deps", "--wheel-dir", str(wheels), source)
    return next(wheels.glob("gluon_edge-*.whl"))


def _download(own: Path, machine: str, python: str, wheels: Path) -> None:
    tags = [f"manylinux_{glibc}_{machine}" for glibc in _GLIBC] + [f"manylinux2014_{machine}"]
    platforms = [word for tag in tags for word in ("--platform", tag)]
    how = ["--only-binary=:all:", "--python-version", python, "--implementation", "cp", *platforms]
    # pip judges markers by the Python that runs it: what only an older one needs is named here.
    older = ["tomli>=2"] if tuple(map(int, python.split("."))) < (3, 11) else []
    _pip("download", "--dest", str(wheels), *how, f"{own}[{_EXTRAS}]", *older)


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", words[0], "--quiet", "--disable-pip-version-check", *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "ERROR" in line] or done.stderr.splitlines()[-1:]
        raise ExportError(f"pip {words[0]}: {said[0] if said else 'failed'}")
