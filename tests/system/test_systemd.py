"""The unit file, judged by systemd's own tools."""

import re
import shutil
import subprocess

import pytest
from street import ROOT

UNIT = ROOT / "systemd" / "gluon-edge.service"

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here (Debian: systemd)"
)


def _analyze(*args):
    return subprocess.run(["systemd-analyze", *args], capture_output=True, text=True, timeout=60, check=False)


def test_unit_when_verified_then_systemd_has_nothing_to_say(tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/gluon-edge/bin/gluon-edge", "/bin/true"))
    done = _analyze("verify", str(unit))
    about_ours = [line for line in done.stderr.splitlines() if UNIT.stem in line]
    assert done.returncode == 0, done.stderr
    assert not about_ours


def test_unit_when_its_sandbox_is_judged_then_the_exposure_is_two_or_less():
    done = _analyze("security", "--offline=true", "--threshold=20", "--no-pager", str(UNIT))
    found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= 2.0
    assert done.returncode == 0
