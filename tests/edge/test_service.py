"""What an installation would do: planned on a folder that stands for the system, and done there."""

import subprocess
from pathlib import Path

import pytest

from edge.cli import main
from edge.errors import ServiceError
from edge.systemd.service import Layout, Remove, Run, Write, apply, plan_install, plan_uninstall

PROGRAM = Path("/opt/venvs/edge/bin/gluon-edge")


@pytest.fixture
def root(tmp_path):
    return tmp_path


def layout(root, name="agent.toml"):
    return Layout(root / "etc" / "gluon-edge" / name, root)


def do(steps, fails=()):
    ran, told = [], []

    def systemctl(arguments):
        ran.append(arguments)
        bad = arguments[0] in fails
        return subprocess.CompletedProcess(arguments, int(bad), "", "Access denied\n" if bad else "")

    apply(steps, systemctl, told.append)
    return ran, told


def test_install_when_done_twice_then_the_second_time_changes_nothing(root):
    at = layout(root)
    ran, told = do(plan_install(at, PROGRAM, board="raspberry-pi"))
    assert ran == [("daemon-reload",), ("enable", "gluon-edge.service"), ("restart", "gluon-edge.service")]
    assert f"ExecStart={PROGRAM} run -c" in at.file.read_text()
    assert "char-dma_heap" in (at.drop_in / "raspberry-pi.conf").read_text()
    assert len(told) == 5
    again = plan_install(at, PROGRAM, board="raspberry-pi")
    assert again == [Run(("enable", "gluon-edge.service")), Run(("start", "gluon-edge.service"))]


def test_install_when_the_board_changes_then_its_drop_in_does_too_and_a_persons_own_stays(root):
    at = layout(root)
    do(plan_install(at, PROGRAM, board="raspberry-pi"))
    own = at.drop_in / "own.conf"
    own.write_text("[Service]\nNice=5\n")
    steps = plan_install(at, PROGRAM, board="jetson")
    assert [s for s in steps if isinstance(s, Remove)] == [Remove(at.drop_in / "raspberry-pi.conf")]
    do(steps)
    assert sorted(p.name for p in at.drop_in.iterdir()) == ["jetson.conf", "own.conf"]


def test_install_when_a_group_does_not_exist_then_it_is_left_out(root):
    (unit, *_) = plan_install(layout(root), PROGRAM, board=None, groups=["video"])
    assert isinstance(unit, Write)
    assert "SupplementaryGroups=video\n" in unit.text


def test_install_when_a_unit_of_somebody_else_is_in_the_way_then_refused_unless_forced(root):
    at = layout(root)
    at.file.parent.mkdir(parents=True)
    at.file.write_text("[Service]\nExecStart=/mine\n")
    with pytest.raises(ServiceError, match="--force"):
        plan_install(at, PROGRAM, board=None)
    assert any(isinstance(s, Write) for s in plan_install(at, PROGRAM, board=None, force=True))


def test_install_when_the_program_is_hidden_from_the_service_then_refused_with_the_way_out(root):
    with pytest.raises(ServiceError, match="python3 -m venv /opt/gluon-edge"):
        plan_install(layout(root), Path("/home/me/venv/bin/gluon-edge"), board=None)


def test_install_when_systemctl_fails_then_its_words_are_told(root):
    with pytest.raises(ServiceError, match=r"systemctl enable gluon-edge\.service: Access denied"):
        do(plan_install(layout(root), PROGRAM, board=None), fails=["enable"])


def test_layout_when_there_are_several_then_each_is_an_instance_with_a_state_of_its_own(root):
    gate = layout(root, "gate.toml")
    assert (gate.unit, gate.file.name) == ("gluon-edge@gate.service", "gluon-edge@.service")
    assert gate.state.name == "gluon-edge-gate"
    do(plan_install(gate, PROGRAM, board=None))
    assert "%i.toml" in gate.file.read_text()
    kept = plan_uninstall(gate, others=["gluon-edge@yard.service"])
    assert kept == [Run(("disable", "--now", "gluon-edge@gate.service"))], "another instance needs the unit"


def test_layout_when_the_configuration_lies_elsewhere_then_told_where_it_belongs(tmp_path):
    with pytest.raises(ServiceError, match="sudo install -D -m 0644"):
        Layout(tmp_path / "agent.toml")


def test_uninstall_when_not_purged_then_configuration_and_state_stay(root):
    at = layout(root)
    at.config.parent.mkdir(parents=True)
    at.config.write_text("x")
    at.state.mkdir(parents=True)
    (at.state / "n1.spool").write_text("events")
    do(plan_install(at, PROGRAM, board="jetson"))
    ran, _ = do(plan_uninstall(at))
    assert ran == [("disable", "--now", "gluon-edge.service"), ("daemon-reload",)]
    assert not at.file.exists()
    assert at.config.exists()
    assert (at.state / "n1.spool").exists()
    assert plan_uninstall(at) == []
    do(plan_uninstall(at, purge=True))
    assert not at.state.exists()
    assert at.config.exists()


def test_service_when_systemd_does_not_run_then_one_line_says_so(capsys):
    if Path("/run/systemd/system").is_dir():
        pytest.skip("it does run here")
    assert main(["service", "install", "--dry-run"]) == 1
    assert "systemd does not run here" in capsys.readouterr().err
