"""The guide's snippets run as they are."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from operator_cases.drawn import normal
from operator_runs import Case, by_onnx, check

from export.errors import UnsupportedError
from export.ops import registry

GUIDE = Path(__file__).parents[2] / "docs" / "add-an-operator.md"


def test_guide_when_its_snippets_run_then_the_operator_equals_mxnet(monkeypatch):
    monkeypatch.setattr(registry, "_CONVERTERS", dict(registry._CONVERTERS))
    converter, case = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    exec(converter, {})  # noqa: S102 - the guide is ours
    check(eval(case, {"Case": Case, "normal": normal}))  # noqa: S307


def test_unknown_operator_when_met_then_the_error_points_to_the_guide():
    with pytest.raises(UnsupportedError) as caught:
        by_onnx(Case("smooth_l1", (np.zeros((3, 4), np.float32),)))
    assert str(GUIDE.relative_to(GUIDE.parents[1])) in str(caught.value)
