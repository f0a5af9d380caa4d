"""Keys, signatures and stamps: what `keygen` and `pack` write."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import bundles
import pytest

from edge.bundle.bundle import read_bundle
from edge.bundle.trust import Trust
from edge.errors import ConfigError
from edge.signing import Keys
from export.cli import main
from export.errors import ExportError
from export.release import Stamp, make_key_files, pack_zip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bundles.classification_bundle(tmp_path / "b")


def test_keygen_when_run_then_only_the_owner_may_read_the_private_key(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "export", "keygen", str(tmp_path / "keys" / "a")],
        capture_output=True,
        text=True,
        check=True,
    )
    private, public = tmp_path / "keys" / "a.key", tmp_path / "keys" / "a.pub"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert private.read_text().strip() not in done.stdout + done.stderr
    assert Keys((public,)).ids[0] in done.stdout


@pytest.mark.parametrize("there", ["a.key", "a.pub"])
def test_keygen_when_a_key_is_there_then_it_is_not_overwritten(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(ExportError, match="a key is never overwritten"):
        make_key_files(tmp_path / "a")
    assert [p.name for p in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"


@pytest.mark.parametrize("name", ["", ".", "..", "/", "keys/.."])
def test_keygen_when_it_is_given_no_name_then_one_line_says_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["keygen", name]) == 1
    told = capsys.readouterr().err
    assert "is no name for a key" in told
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_keys_when_one_is_taken_for_the_other_then_neither_signs_nor_is_pinned(tmp_path: Path, folder: Path) -> None:
    private, public, _ = make_key_files(tmp_path / "a")
    public.chmod(0o600)
    with pytest.raises(ExportError, match=r"a\.pub: is named like a public key; sign with the \.key"):
        pack_zip(folder, tmp_path / "x.zip", sign=[public])
    with pytest.raises(ConfigError, match=r"a\.key: is named like a private key"):
        Keys((private,))


def test_pack_when_the_bundle_lies_elsewhere_with_other_dates_and_modes_then_the_bytes_are_the_same(
    tmp_path: Path, folder: Path
) -> None:
    private, _, _ = make_key_files(tmp_path / "a")
    other = tmp_path / "elsewhere" / "copy"
    shutil.copytree(folder, other)
    for path in sorted(other.rglob("*"), reverse=True):
        os.utime(path, (1, 1))
        path.chmod(0o700 if path.is_dir() else 0o400)
    before = os.umask(0o077)
    try:
        pack_zip(other, tmp_path / "2.zip", sign=[private])
    finally:
        os.umask(before)
    pack_zip(folder, tmp_path / "1.zip", sign=[private])
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()


def test_pack_when_signed_and_stamped_twice_then_the_bytes_are_the_same(tmp_path: Path, folder: Path) -> None:
    private, public, _ = make_key_files(tmp_path / "a")
    stamp = Stamp("1.2.3", ("kerb-*",), ("aarch64",))
    for name in ("1.zip", "2.zip"):
        pack_zip(folder, tmp_path / name, stamp=stamp, sign=[private])
    pack_zip(tmp_path / "1.zip", tmp_path / "3.zip", sign=[private])
    first = (tmp_path / "1.zip").read_bytes()
    assert first == (tmp_path / "2.zip").read_bytes() == (tmp_path / "3.zip").read_bytes()
    manifest = read_bundle(tmp_path / "1.zip", Trust(Keys((public,)))).manifest
    assert (manifest.version, manifest.target.nodes, manifest.target.machines) == ("1.2.3", ("kerb-*",), ("aarch64",))


def test_pack_when_a_signed_bundle_is_stamped_anew_then_its_old_signature_is_gone(tmp_path: Path, folder: Path) -> None:
    private, _, _ = make_key_files(tmp_path / "a")
    pack_zip(folder, tmp_path / "1.zip", sign=[private])
    assert pack_zip(tmp_path / "1.zip", tmp_path / "2.zip").signature is not None
    assert pack_zip(tmp_path / "1.zip", tmp_path / "3.zip", stamp=Stamp("9.0.0")).signature is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--release", "1.2"], "version: '1.2'"),
        (["--for-node", "Kerb 1"], "target.nodes.0: 'Kerb 1'"),
        (["--sign", "nothing.key"], "nothing.key: cannot read the secret: No such file or directory"),
        (["--sign", "labels.txt"], "labels.txt: is not an Ed25519 private key"),
    ],
)
def test_pack_when_an_argument_is_wrong_then_one_line_says_which(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    (folder / "labels.txt").chmod(0o600)
    arguments = [str(folder / a) if a.startswith(("nothing", "labels")) else a for a in arguments]
    assert main(["pack", str(folder), "-o", str(tmp_path / "x.zip"), *arguments]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not (tmp_path / "x.zip").exists()


def test_pack_when_everyone_may_read_the_key_then_it_is_refused(tmp_path: Path, folder: Path) -> None:
    private, _, _ = make_key_files(tmp_path / "a")
    private.chmod(0o644)
    with pytest.raises(ConfigError, match="everyone may read it; chmod 600"):
        pack_zip(folder, tmp_path / "x.zip", sign=[private])
