"""The scoreboard's cases 15, 16 and 17 for bundles: what is damaged, foreign, old or hostile is refused by name."""

import json
import os
import sys

import bundles
import numpy as np
import pytest
from zips import files_of, zipped

from edge.bundle.bundle import read_bundle
from edge.bundle.trust import Trust
from edge.bundle.unpack import unpack
from edge.bundle.versions import Versions
from edge.cli import main
from edge.errors import BundleError, BundleRefusedError, ConfigError
from edge.inference.session import Session
from edge.signing import BUNDLE, COMMAND, Keys, make_key, signature
from export.release import Stamp, make_key_files, pack_zip

RNG = np.random.default_rng(7)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Two key pairs: name -> its private and its public file."""
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key_files(folder / name)[:2] for name in ("old", "new")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return bundles.detection_bundle(tmp_path_factory.mktemp("signed") / "b")


@pytest.fixture(scope="module")
def signed(folder, pairs):
    """A bundle signed by the old key, as a zip; and its files."""
    path = folder.parent / "b.zip"
    pack_zip(folder, path, sign=[pairs["old"][0]])
    return path


def trust(pairs, *names, node=None, machine=None):
    return Trust(Keys(tuple(pairs[name][1] for name in names)), node, machine)


def refused(reason, path, asked):
    with pytest.raises(BundleRefusedError) as caught:
        read_bundle(path, asked)
    assert caught.value.reason == reason
    assert str(path) in str(caught.value)
    return str(caught.value)


# Case 15: a bad signature, a bad hash, one bit.


def test_signed_bundle_when_its_key_is_pinned_then_it_is_believed_and_says_by_which(signed, pairs):
    asked = trust(pairs, "new", "old")
    bundle = read_bundle(signed, asked)
    assert bundle.signer == asked.keys.ids[1]


def test_unsigned_bundle_when_keys_are_pinned_then_is_refused(folder, pairs):
    assert "is not signed" in refused("unsigned", folder, trust(pairs, "old"))


def test_signed_bundle_when_only_another_key_is_pinned_then_both_are_named(signed, pairs):
    text = refused("unknown_key", signed, trust(pairs, "new"))
    assert all(Keys((public,)).ids[0] in text for _, public in pairs.values())


def test_bundle_when_keys_rotate_then_one_signed_by_both_passes_on_old_and_new_devices(signed, pairs, tmp_path):
    both = tmp_path / "both.zip"
    pack_zip(signed, both, sign=[pairs["new"][0]])
    for names in (["old"], ["new"], ["old", "new"]):
        assert read_bundle(both, trust(pairs, *names)).signer
    assert files_of(both)["signature"].count(b"\n") == 2


def test_signature_when_it_is_one_of_a_command_then_it_is_none_of_a_bundle(signed, pairs, tmp_path):
    files = files_of(signed)
    key, as_command = signature(files["manifest.json"], pairs["old"][0].read_text(), COMMAND)
    files["signature"] = f"{key} {as_command}\n".encode()
    refused("bad_signature", zipped(tmp_path / "x.zip", files), trust(pairs, "old"))


@pytest.mark.parametrize("text", [b"", b"\n", b"hello\n", b"0" * 16 + b" " + b"A" * 88 + b"\n", b"x" * 10_000])
def test_signature_when_it_is_none_then_is_refused(signed, pairs, tmp_path, text):
    path = zipped(tmp_path / "x.zip", {**files_of(signed), "signature": text})
    with pytest.raises(BundleRefusedError):
        read_bundle(path, trust(pairs, "old"))


def test_signature_when_its_base64_is_written_in_another_way_then_is_refused(signed, pairs, tmp_path):
    """The last digit before the padding holds four bits that mean nothing."""
    files = files_of(signed)
    key, text = files["signature"].decode().split()
    for digit in set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") - {text[85]}:
        other = f"{key} {text[:85]}{digit}==\n".encode()
        refused("bad_signature", zipped(tmp_path / "x.zip", {**files, "signature": other}), trust(pairs, "old"))


def test_manifest_when_its_signature_is_wrong_then_it_is_not_even_parsed(signed, pairs, tmp_path):
    path = zipped(tmp_path / "x.zip", {**files_of(signed), "manifest.json": b"{ not JSON"})
    refused("bad_signature", path, trust(pairs, "old"))


@pytest.mark.parametrize(
    "name", ["manifest.json", "signature", "model.onnx", "labels.txt", "golden/input.png", "golden/expected.json"]
)
def test_any_file_when_one_bit_is_flipped_then_the_bundle_is_refused(signed, pairs, tmp_path, name):
    """The zip is written anew, so that its own checksums agree and only ours can tell."""
    files, asked = files_of(signed), trust(pairs, "old")
    assert name in files
    data = files[name]
    places = np.unique(np.concatenate([[0, len(data) - 1], RNG.integers(0, len(data), 150)]))
    for place in places.tolist():
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(RNG.integers(0, 8))
        path = zipped(tmp_path / "x.zip", {**files, name: bytes(damaged)})
        with pytest.raises(BundleError):
            read_bundle(path, asked)


def test_file_when_it_is_swapped_together_with_its_digest_then_the_signature_tells(signed, pairs, tmp_path):
    import hashlib

    files = files_of(signed)
    manifest = json.loads(files["manifest.json"])
    files["labels.txt"] = b"blue\ngreen\nred"
    digest = hashlib.sha256(files["labels.txt"]).hexdigest()
    manifest["files"]["labels.txt"] = {"size": len(files["labels.txt"]), "sha256": digest}
    files["manifest.json"] = json.dumps(manifest).encode()
    path = zipped(tmp_path / "x.zip", files)
    assert read_bundle(path).labels == ("blue", "green", "red"), "a device without keys could not tell"
    refused("bad_signature", path, trust(pairs, "old"))


def test_bundle_when_its_zip_changes_after_it_was_judged_then_what_was_judged_is_what_runs(signed, pairs, tmp_path):
    path = tmp_path / "b.zip"
    path.write_bytes(signed.read_bytes())
    bundle = unpack(path, tmp_path / "new", trust=trust(pairs, "old"))
    path.write_bytes(b"other")
    (tmp_path / "new" / "model.onnx").write_bytes(b"other")
    assert Session(bundle).infer(np.zeros((1, 128, 128, 3), np.uint8))
    with pytest.raises(BundleError, match=r"model\.onnx is not the"):
        read_bundle(tmp_path / "new", trust(pairs, "old"))


# Case 16: a downgrade, a wrong target.


def test_older_bundle_when_a_newer_one_was_taken_then_is_refused_even_after_going_back(signed, pairs, tmp_path):
    asked, versions = trust(pairs, "old"), Versions(tmp_path / "state", "kerb-1")
    taken = {}
    for release in ("1.9.0", "1.10.0"):
        pack_zip(signed, tmp_path / f"{release}.zip", stamp=Stamp(release), sign=[pairs["old"][0]])
        taken[release] = unpack(tmp_path / f"{release}.zip", tmp_path / release, trust=asked, versions=versions)
        versions.remember(taken[release].manifest)
    versions.remember(taken["1.9.0"].manifest)  # the node went back by itself; the mark does not sink
    again = Versions(tmp_path / "state", "kerb-1")
    with pytest.raises(BundleRefusedError, match=r"1\.9\.0 is older than 1\.10\.0, which this node has had") as caught:
        unpack(tmp_path / "1.9.0.zip", tmp_path / "again", trust=asked, versions=again)
    assert caught.value.reason == "downgrade"
    assert not (tmp_path / "again").exists()
    assert unpack(tmp_path / "1.10.0.zip", tmp_path / "again", trust=asked, versions=again).signer


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": "x"}', b'{"a": 1}', b"\xff\xfe"])
def test_memory_of_versions_when_it_is_damaged_then_nothing_is_taken_rather_than_all(signed, tmp_path, content):
    (tmp_path / "kerb-1.versions.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"kerb-1\.versions\.json: is damaged"):
        unpack(signed, tmp_path / "new", trust=Trust(), versions=Versions(tmp_path, "kerb-1"))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("stamp", "node", "machine", "why"),
    [
        (Stamp(nodes=("kerb-*", "gate-7")), "door-1", None, "meant for the nodes kerb-*, gate-7, this one is door-1"),
        (Stamp(machines=("aarch64",)), None, "x86_64", "meant for aarch64, this machine is x86_64"),
        (Stamp(nodes=("kerb-*",), machines=("x86_64",)), "kerb-1", "x86_64", None),
        (Stamp(nodes=("gate-7",)), "gate-7", "aarch64", None),
        (Stamp(machines=("aarch64",)), None, None, None),
    ],
)
def test_bundle_when_it_is_meant_for_others_then_is_refused(folder, pairs, tmp_path, stamp, node, machine, why):
    path = tmp_path / "x.zip"
    pack_zip(folder, path, stamp=stamp, sign=[pairs["old"][0]])
    asked = trust(pairs, "old", node=node, machine=machine)
    if why is None:
        assert read_bundle(path, asked).manifest.target.nodes == stamp.nodes
    else:
        assert why in refused("wrong_target", path, asked)


# Case 17, where it is a folder: a pipe, weights elsewhere; zips are in test_unpack.py.


def test_bundle_when_it_is_a_pipe_then_nobody_waits_for_it(folder, tmp_path):
    import shutil

    copy = shutil.copytree(folder, tmp_path / "b")
    (copy / "labels.txt").unlink()
    os.mkfifo(copy / "labels.txt")
    with pytest.raises(BundleError, match=r"labels\.txt is not a regular file"):
        read_bundle(copy)


@pytest.mark.parametrize("where", ["initializer", "attribute", "function"])
def test_model_when_it_keeps_weights_elsewhere_then_is_refused_even_if_signed(folder, pairs, tmp_path, where):
    """A hard link in the folder would get past onnxruntime's own check of the path, so there is no such thing."""
    import hashlib
    import shutil

    import onnx

    copy = shutil.copytree(folder, tmp_path / "b")
    model = onnx.load(copy / "model.onnx")
    tensor = onnx.TensorProto(data_type=1, dims=[1], name="w", data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights.bin")
    if where == "initializer":
        model.graph.initializer.append(tensor)
    else:
        node = onnx.helper.make_node("Constant", [], ["k"], value=tensor)
        (model.graph if where == "attribute" else model.functions.add(name="f")).node.append(node)
    data = model.SerializeToString()
    (copy / "model.onnx").write_bytes(data)
    os.link(folder / "labels.txt", copy / "weights.bin")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["model.onnx"] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    raw = json.dumps(manifest).encode()
    (copy / "manifest.json").write_bytes(raw)
    key, text = signature(raw, pairs["old"][0].read_text(), BUNDLE)
    (copy / "signature").write_text(f"{key} {text}\n")
    with pytest.raises(BundleError, match="external data"):
        read_bundle(copy, trust(pairs, "old"))


# The commands, and the library that may be missing.


def test_unpack_when_all_is_well_then_the_folder_is_the_bundle_and_nothing_else(signed, pairs, tmp_path):
    got = unpack(signed, tmp_path / "a" / "new", trust=trust(pairs, "old"))
    assert got.path == tmp_path / "a" / "new"
    again = read_bundle(got.path, trust(pairs, "old"))
    assert (again.files, again.digest, again.signer) == (got.files, got.digest, got.signer)
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["new"]


def test_keys_when_the_library_is_missing_then_the_line_says_what_to_install(pairs, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    for asks in (make_key, lambda: Keys((pairs["old"][1],))):
        with pytest.raises(ConfigError, match=r"pip install 'gluon-edge\[signing\]'"):
            asks()
    Keys()  # a device without keys needs none of it


def test_bundle_verify_when_a_node_asks_then_it_is_judged_by_its_configuration(signed, pairs, tmp_path, capsys):
    agent = tmp_path / "agent.toml"
    agent.write_text(
        f'state_dir = "state"\nmodel.bundle = "{signed}"\nmodel.keys = ["{pairs["old"][1]}"]\n'
        'mqtt.node = "kerb-1"\ncameras.door.source = 0\n'
    )

    def verify(path, *more):
        status = main(["bundle", "verify", str(path), "--json", *map(str, more)])
        told = capsys.readouterr()
        return status, json.loads(told.out), told.err

    status, found, _ = verify(signed, "-c", agent)
    assert (status, found["ok"], found["signed_by"]) == (0, True, Keys((pairs["old"][1],)).ids[0])
    older = pack_zip(signed, tmp_path / "older.zip", stamp=Stamp("0.0.9"), sign=[pairs["old"][0]]).path
    assert verify(older, "-c", agent)[1]["reason"] == "downgrade", "than the configured one"
    Versions(tmp_path / "state", "kerb-1").remember(
        read_bundle(signed).manifest.model_copy(update={"version": "2.0.0"})
    )
    for path, more, reason in (
        (signed, ("-c", agent), "downgrade"),
        (signed, ("--key", pairs["new"][1]), "unknown_key"),
        (pack_zip(signed, tmp_path / "x.zip", stamp=Stamp("3.0.0")).path, ("-c", agent), "unsigned"),
    ):
        status, found, told = verify(path, *more)
        assert (status, found["ok"], found["reason"]) == (1, False, reason)
        assert told.startswith("gluon-edge: error: ")
        assert told.count("\n") == 1
