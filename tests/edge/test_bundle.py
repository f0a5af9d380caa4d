import hashlib
import json
import os
import shutil
import zipfile

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from street import ROOT

from edge.bundle.bundle import read_bundle
from edge.bundle.manifest import schema
from edge.cli import main
from edge.errors import BundleError
from export.release import pack_zip


@pytest.fixture
def copy(street, tmp_path):
    """A bundle folder that a test may damage."""
    return shutil.copytree(street, tmp_path / "bundle")


@pytest.fixture(scope="module")
def packed(street, tmp_path_factory):
    """The bundle as a zip, read and raw."""
    path = tmp_path_factory.mktemp("packed") / "b.zip"
    return pack_zip(street, path), path.read_bytes()


def _rewrite(folder, **changes):
    manifest = json.loads((folder / "manifest.json").read_text())
    for key, value in changes.items():
        if value is None:
            del manifest[key]
        else:
            manifest[key] = value
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _claim(folder, name, data):
    """Put `data` into the bundle as the file `name`, with the manifest agreeing."""
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / name).write_bytes(data)
    manifest["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_bundle_when_packed_then_reads_the_same_as_the_folder(street, tmp_path):
    folder = read_bundle(street)
    packed = pack_zip(street, tmp_path / "b.zip")
    assert packed.digest == folder.digest
    assert packed.files == folder.files
    assert folder.labels == ("person", "vehicle")


def test_bundle_when_packed_twice_then_the_bytes_are_the_same(street, tmp_path):
    pack_zip(street, tmp_path / "a.zip")
    for path in street.rglob("*"):
        os.utime(path)
    pack_zip(street, tmp_path / "b.zip")
    pack_zip(tmp_path / "a.zip", tmp_path / "c.zip")
    first = (tmp_path / "a.zip").read_bytes()
    assert first == (tmp_path / "b.zip").read_bytes() == (tmp_path / "c.zip").read_bytes()


def test_bundle_when_a_byte_of_a_file_changed_then_names_the_file(copy):
    data = bytearray((copy / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "model.onnx").write_bytes(bytes(data))
    with pytest.raises(BundleError, match=r"model\.onnx does not match its SHA-256"):
        read_bundle(copy)


def test_bundle_when_a_file_is_missing_then_names_it(copy):
    (copy / "labels.txt").unlink()
    with pytest.raises(BundleError, match=r"labels\.txt is missing"):
        read_bundle(copy)


@pytest.mark.parametrize("extra", [b"x", b"x" * 10_000_000])
def test_bundle_when_a_file_is_longer_than_the_manifest_says_then_is_refused(copy, extra):
    with (copy / "labels.txt").open("ab") as f:
        f.write(extra)
    with pytest.raises(BundleError, match=r"labels\.txt is not the 15 bytes"):
        read_bundle(copy)


def test_bundle_when_a_file_is_a_link_then_is_refused(copy):
    (copy / "elsewhere").write_bytes((copy / "model.onnx").read_bytes())
    (copy / "model.onnx").unlink()
    (copy / "model.onnx").symlink_to(copy / "elsewhere")
    with pytest.raises(BundleError, match="not a regular file"):
        read_bundle(copy)


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "golden/../x", "a/b", ".hidden", "golden\\x", ""])
def test_bundle_when_a_file_name_leaves_the_folder_then_is_refused(copy, name):
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"][name] = {"size": 1, "sha256": "0" * 64}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"manifest\.json: files"):
        read_bundle(copy)


def test_bundle_when_the_labels_are_too_few_then_says_both_counts(copy):
    _claim(copy, "labels.txt", b"person\n")
    with pytest.raises(BundleError, match=r"1 labels, the manifest says 2"):
        read_bundle(copy)


def test_bundle_when_the_model_is_no_onnx_then_says_so(copy):
    _claim(copy, "model.onnx", b"\xff" * 100)
    with pytest.raises(BundleError, match="not an ONNX file"):
        read_bundle(copy)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"task": "telepathy"}, "task"),
        ({"schema_version": "bundle/9.0"}, "schema_version"),
        ({"input": None}, "input"),
        ({"classes": 0}, "classes"),
        ({"surprise": 1}, "surprise"),
        ({"name": "../x"}, "name"),
        ({"files": {}}, "files"),
    ],
)
def test_manifest_when_it_is_wrong_then_the_key_is_named(copy, changes, where):
    _rewrite(copy, **changes)
    with pytest.raises(BundleError, match=where):
        read_bundle(copy)


def test_bundle_when_there_is_none_then_says_how_to_make_one(tmp_path):
    with pytest.raises(BundleError, match="no such bundle; make one with"):
        read_bundle(tmp_path / "nothing")


def test_zip_when_it_inflates_beyond_what_the_manifest_says_then_is_refused_without_inflating(street, tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(street / "manifest.json", "manifest.json")
        for name in ("golden/expected.json", "golden/input.png", "labels.txt"):
            archive.write(street / name, name)
        archive.writestr("model.onnx", bytes(200_000_000))
    with pytest.raises(BundleError, match=r"'model\.onnx' unpacks to more than 50 times its size"):
        read_bundle(path)


def test_zip_when_an_entry_occurs_twice_then_is_refused(street, tmp_path):
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(street / "manifest.json", "manifest.json")
        archive.write(street / "labels.txt", "labels.txt")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("labels.txt", "other\n")
    with pytest.raises(BundleError, match="occurs twice"):
        read_bundle(path)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_zip_with_a_changed_byte_when_read_then_is_refused_or_the_same(packed, tmp_path, data):
    whole, content = packed
    path = tmp_path / "b.zip"
    raw = bytearray(content)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(raw))
    try:
        got = read_bundle(path)
    except BundleError:
        return
    assert got.digest == whole.digest
    assert got.files == whole.files


def test_schema_of_the_manifest_when_published_then_it_is_current_and_true(copy):
    published = json.loads((ROOT / "docs" / "bundle-1.0.schema.json").read_text())
    assert published == schema(), "run: gluon-edge bundle schema > docs/bundle-1.0.schema.json"
    jsonschema.Draft202012Validator.check_schema(published)
    manifest = json.loads((copy / "manifest.json").read_text())
    jsonschema.validate(manifest, published)
    for wrong in ({"task": "telepathy"}, {"surprise": 1}, {"version": "1"}, {"name": "../x"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**manifest, **wrong}, published)


def test_info_when_a_person_asks_then_every_line_says_one_thing(street, capsys):
    assert main(["bundle", "info", str(street)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("street_ssd 1.0.0: detection, fp32, ")
    told = {line[2:15].strip(): line[15:] for line in lines[1:]}
    assert told["looks at"] == "384x288 RGB, the whole picture, stretched"
    assert told["tells apart"] == "2: person, vehicle"
    assert told["signed by"] == "nobody"
    assert told["meant for"] == "any machine, any node"
    assert told["golden"].endswith("a wrong channel order, mean, resize rule would show")
    assert told["digest"] == read_bundle(street).digest
    assert main(["bundle", "info", str(street), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["name"], document["labels"], document["signed_by"]) == ("street_ssd", ["person", "vehicle"], [])
