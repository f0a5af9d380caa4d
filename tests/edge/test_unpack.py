"""The scoreboard's case 17: ways out of the folder and bombs in a bundle's zip, refused before anything is written."""

import os
import stat
import struct
import zipfile

import bundles
import pytest
from zips import files_of, zipped

from edge.bundle.bundle import read_bundle
from edge.bundle.trust import Trust
from edge.bundle.unpack import unpack
from edge.errors import BundleError
from export.release import pack_zip


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A sound bundle as a zip."""
    folder = bundles.detection_bundle(tmp_path_factory.mktemp("packed") / "b")
    pack_zip(folder, folder.parent / "b.zip")
    return folder.parent / "b.zip"


@pytest.mark.parametrize("name", ["../evil", "golden/../../evil", "/evil", "a/b", "evil", "golden/", "golden\\evil"])
def test_zip_when_it_holds_more_than_the_manifest_names_then_nothing_is_written(packed, tmp_path, name):
    path = zipped(tmp_path / "x.zip", {**files_of(packed), name: b"evil"})
    with pytest.raises(BundleError):
        unpack(path, tmp_path / "in" / "new", trust=Trust())
    assert not list(tmp_path.rglob("*evil*"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_zip_when_an_entry_is_no_regular_file_then_is_refused(packed, tmp_path, kind):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files_of(packed).items():
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = ((kind if name == "labels.txt" else stat.S_IFREG) | 0o644) << 16
            archive.writestr(info, b"/etc/passwd" if name == "labels.txt" else data)
    with pytest.raises(BundleError, match=r"'labels\.txt' is not a regular file"):
        unpack(path, tmp_path / "new", trust=Trust())
    assert not (tmp_path / "new").exists()


def test_unpack_when_links_lie_where_it_goes_then_nothing_is_written_through_them(packed, tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    (tmp_path / "real").mkdir()
    os.link(outside, tmp_path / "real" / "model.onnx")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("real", "link", "dangling"):
        with pytest.raises(BundleError, match="nothing is unpacked over what is there"):
            unpack(packed, tmp_path / name, trust=Trust())
    assert outside.read_bytes() == b"precious"
    assert not (tmp_path / "nowhere").exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_when_it_is_packed_in_a_way_that_can_bomb_the_reader_then_is_refused(packed, tmp_path, method):
    with pytest.raises(BundleError, match="packed in a way that no bundle is"):
        read_bundle(zipped(tmp_path / "x.zip", files_of(packed), compression=method))


def test_zip_when_an_entry_is_encrypted_then_is_refused(packed, tmp_path):
    path = tmp_path / "x.zip"
    raw = bytearray(packed.read_bytes())
    at = raw.find(b"PK\1\2")
    raw[at + 8] |= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(BundleError, match="encrypted"):
        read_bundle(path)


def test_zip_when_entries_claim_more_than_a_bundle_may_have_then_is_refused(packed, tmp_path):
    raw = bytearray(packed.read_bytes())
    at = raw.find(b"PK\1\2")
    raw[at + 20 : at + 28] = struct.pack("<2L", 1 << 30, 1 << 30)
    (tmp_path / "x.zip").write_bytes(bytes(raw))
    with pytest.raises(BundleError, match="unpacks to more than 1073741824 bytes"):
        read_bundle(tmp_path / "x.zip")


def test_zip_when_it_lists_a_thousand_files_then_it_is_refused_before_they_are_listed(tmp_path):
    path = zipped(tmp_path / "x.zip", {str(n): b"" for n in range(1000)})
    with pytest.raises(BundleError, match="lists more than the 64 files"):
        read_bundle(path)
