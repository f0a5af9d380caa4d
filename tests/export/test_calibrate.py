from pathlib import Path

import cv2
import numpy as np
import pytest
from models import COLOURS, bundle_of, colour_net, colour_pictures

from edge.bundle.bundle import Bundle
from edge.inference.stages import prepare_for
from export.calibrate import Reader, images, read, spread
from export.errors import ExportError


@pytest.fixture
def bundle() -> Bundle:
    return bundle_of(colour_net(), "classification", COLOURS)


def _video(path: Path, frames: int = 10) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (64, 48))
    assert writer.isOpened()
    for n in range(frames):
        writer.write(np.full((48, 64, 3), n * 20, np.uint8))
    writer.release()
    return path


def test_images_of_a_folder_come_sorted_from_below_it_too(tmp_path: Path) -> None:
    colour_pictures(tmp_path, 2)
    (tmp_path / "notes.txt").write_text("no picture")
    found = images(tmp_path)
    assert [p.relative_to(tmp_path).as_posix() for p in found] == [
        f"{c}/{n}.png" for c in sorted(COLOURS) for n in (0, 1)
    ]


def test_images_when_limited_are_spread_over_all(tmp_path: Path) -> None:
    paths = [tmp_path / str(n) for n in range(10)]
    assert spread(paths, 5) == paths[::2]
    assert spread(paths, 50) == paths
    colour_pictures(tmp_path, 4)
    assert {p.parent.name for p in images(tmp_path, limit=3)} == set(COLOURS)


def test_images_of_a_video_are_frames_spread_over_its_length(tmp_path: Path) -> None:
    video = _video(tmp_path / "street.avi")
    found = images([video], frames=5)
    assert [int(p.name) for p in found] == [0, 2, 4, 6, 8]
    shades = [float(read(p).mean()) for p in found]
    assert shades == pytest.approx([0, 40, 80, 120, 160], abs=4)


def test_images_when_the_folder_is_empty_or_missing_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=f"{tmp_path}: no images"):
        images(tmp_path)
    with pytest.raises(ExportError, match="gone: no such file or folder"):
        images(tmp_path / "gone")
    with pytest.raises(ExportError, match="no calibration images given"):
        images([])


def test_images_when_a_video_is_no_video_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.avi").write_bytes(b"no video at all")
    with pytest.raises(ExportError, match=r"a\.avi: not a video"):
        images(tmp_path / "a.avi")


def test_reader_gives_exactly_what_the_device_feeds_its_model(tmp_path: Path, bundle: Bundle) -> None:
    paths = images(colour_pictures(tmp_path, 1))
    tensors = list(Reader(bundle, paths).each("testing"))
    assert len(tensors) == 3
    for path, tensor in zip(paths, tensors, strict=True):
        assert tensor.dtype == np.uint8
        np.testing.assert_array_equal(tensor, prepare_for(bundle, read(path))[0][None])


def test_reader_when_some_cannot_be_read_leaves_them_out_with_one_warning(
    tmp_path: Path, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    paths = images(colour_pictures(tmp_path, 1))
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8 cut off")
    empty = tmp_path / "empty.jpg"
    empty.touch()
    reader = Reader(bundle, [bad, *paths, empty])
    assert len(list(reader.each("once"))) == 3
    assert len(list(reader.each("again"))) == 3
    reader.warn_of_skipped()
    assert [r.getMessage() for r in caplog.records] == [
        f"2 of 5 images left out; the first: {bad}: not an image that can be read here; "
        "remove it or convert it to JPEG or PNG"
    ]


def test_reader_when_none_can_be_read_is_an_error(tmp_path: Path, bundle: Bundle) -> None:
    (tmp_path / "bad.png").write_bytes(b"nothing")
    with pytest.raises(ExportError, match=r"not one calibration image could be read: .*bad\.png"):
        list(Reader(bundle, [tmp_path / "bad.png"]).each("testing"))


def test_reader_tells_how_far_it_is(tmp_path: Path, bundle: Bundle) -> None:
    told: list[tuple[str, int, int]] = []
    reader = Reader(bundle, images(colour_pictures(tmp_path, 1)), progress=lambda *how: told.append(how))
    list(reader.each("counting"))
    assert told == [("counting", n, 3) for n in range(4)]
