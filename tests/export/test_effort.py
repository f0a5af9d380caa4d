"""Nets that take seconds a picture: fewer pictures, layers in groups, fewer runs to time, and the report says so."""

import dataclasses
import json
from pathlib import Path

import pytest
from models import COLOURS, bundle_of, colour_net, colour_pictures

from edge.bundle.bundle import Bundle
from export import progress
from export.calibrate import images
from export.effort import PROBES, Effort, within
from export.page import page
from export.putback import sensitivities
from export.quantize import calibrate
from export.report import complete
from export.settle import settle

LARGE = 473 * 10**9  # Mask R-CNN of ResNet-18 on 600x800
HUGE = 10**14


@pytest.fixture
def colours(tmp_path: Path) -> tuple[Bundle, list[Path]]:
    return bundle_of(colour_net(), "classification", COLOURS), images(colour_pictures(tmp_path / "colours"))


def test_effort_when_the_net_is_small_then_it_leaves_nothing_out() -> None:
    effort = Effort(3 * 10**9)
    assert (effort.pictures(200), effort.pictures(200, roughly=True)) == (200, 200)
    assert (effort.probes(60), effort.looks(60), effort.groups(60)) == (PROBES, 16, 60)


@pytest.mark.parametrize("multiplications", [LARGE, HUGE])
def test_effort_when_the_net_is_large_then_it_is_bounded_and_never_nothing(multiplications: int) -> None:
    effort = Effort(multiplications)
    runs = 2 * effort.pictures(500, roughly=True) + effort.pictures(500)
    assert 6 <= effort.pictures(500) < runs <= 12
    assert effort.probes(35) == 1
    assert 6 <= effort.groups(35) <= 12
    assert effort.pictures(2) == 2
    assert Effort(multiplications, 1000).pictures(500) > effort.pictures(500)


def test_effort_when_there_is_nothing_to_multiply_then_all_is_looked_at() -> None:
    assert (Effort(0).pictures(9), Effort(0).groups(0)) == (9, 0)


def test_within_gives_the_least_however_long_and_the_most_however_short() -> None:
    assert list(within(-1, least=3, most=9)) == [0, 1, 2]
    assert list(within(-1, least=3, most=2)) == [0, 1]
    assert list(within(1e6, least=3, most=9)) == list(range(9))


def test_sensitivities_when_the_net_is_large_are_of_groups_of_neighbours(colours: tuple[Bundle, list[Path]]) -> None:
    bundle, paths = colours
    calibrated = dataclasses.replace(calibrate(bundle, paths), effort=Effort(HUGE))
    told: list[tuple[str, int, int]] = []

    class Two(Effort):
        def groups(self, layers: int) -> int:
            return min(2, layers)

    calibrated = dataclasses.replace(calibrated, effort=Two(HUGE))
    found = sensitivities(calibrated, paths, progress=lambda *how: told.append(how))
    assert {one.layer for one in found} == set(calibrated.cores)
    groups = {one.error: {o.layer for o in found if o.error == one.error} for one in found}
    assert all(one.together == len(groups[one.error]) for one in found)
    order = calibrated.cores
    for layers in groups.values():
        places = sorted(order.index(layer) for layer in layers)
        assert places == list(range(places[0], places[0] + len(places)))
    assert ("measuring groups of layers", 2, 2) in told


def test_settle_when_the_net_is_large_takes_fewer_pictures_and_the_report_says_so(
    colours: tuple[Bundle, list[Path]],
) -> None:
    bundle, paths = colours
    found = settle(bundle, paths, min_speedup=0, effort=1e-9)
    given = found.report["effort"]["calibration_given"]
    assert 6 == found.report["calibrated_on"] < given
    assert found.report["effort"]["multiplications"] > 0
    report = complete(found.report, bundle, found.quantized.bundle, paths)
    assert f"6 pictures of {given}: one takes " in page(report, [])
    usual = settle(bundle, paths, min_speedup=0)
    assert usual.report["calibrated_on"] == usual.report["effort"]["calibration_given"] == given
    assert f"{given} pictures<" in page(complete(usual.report, bundle, usual.quantized.bundle, paths), [])
    json.dumps(found.report)


def test_bar_when_nobody_watches_says_what_is_left_of_a_long_phase(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    bar = progress.Bar(clock=lambda: now)
    for done in range(7):
        bar("calibrating", done, 6)
        now += 15
    bar("timing", 0, 3)
    bar.close()
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "calibrating...",
        "calibrating: 2 of 6, about 60 s left",
        "calibrating: 4 of 6, about 30 s left",
        "timing...",
    ]
