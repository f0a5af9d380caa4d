"""How two models are told apart: what agrees, and by how much they differ or are slow."""

import numpy as np
import pytest

from edge.results import Classification, Detections
from edge.updates.compare import Comparison, agreement, findings

IMAGE = np.zeros((100, 100, 3), np.uint8)


def detections(*rows):
    boxes = np.array([r[2] for r in rows], np.float32).reshape(-1, 4)
    return Detections(boxes, np.array([r[1] for r in rows], np.float32), np.array([r[0] for r in rows], np.int64))


def test_agreement_when_boxes_overlap_then_they_are_paired_once_and_by_label():
    labels, known = ["a", "b"], frozenset({"a", "b"})
    old = findings(detections((0, 0.9, (0, 0, 10, 10)), (1, 0.8, (20, 20, 30, 30))), IMAGE, labels, threshold=0)
    assert agreement(old, old, known=known) == 1.0
    moved = findings(detections((0, 0.9, (2, 0, 12, 10)), (1, 0.8, (60, 20, 70, 30))), IMAGE, labels, threshold=0)
    assert agreement(old, moved, known=known) == 0.5
    other = findings(detections((1, 0.9, (0, 0, 10, 10))), IMAGE, labels, threshold=0)
    assert agreement(old[:1], other, known=known) == 0.0
    twice = findings(detections((0, 0.9, (0, 0, 10, 10)), (0, 0.9, (0, 0, 10, 10))), IMAGE, labels, threshold=0)
    assert agreement(old[:1], twice, known=known) == pytest.approx(2 / 3)
    assert agreement([], [], known=known) == 1.0
    assert agreement(old[:1], other, known=frozenset({"a"})) == 0.0
    assert agreement([], other, known=frozenset({"a"})) == 1.0, "a class that it has learnt is no disagreement"


def test_agreement_when_it_is_a_classification_then_the_best_class_counts():
    found = findings(
        Classification(np.array([1, 0]), np.array([0.9, 0.1], np.float32)), IMAGE, ["a", "b"], threshold=0.5
    )
    assert [f[0] for f in found] == ["b"]
    assert findings(Classification(np.array([1]), np.array([0.4], np.float32)), IMAGE, ["a", "b"], threshold=0.5) == []


def test_comparison_when_slow_or_different_then_it_says_by_how_much():
    comparison = Comparison()
    assert comparison.verdict(min_agreement=1, max_slowdown=1) is None, (
        "without frames there is nothing to hold against it"
    )
    for _ in range(3):
        comparison.add(0.6, old_ms=10, new_ms=35)
    assert "0.60" in comparison.verdict(min_agreement=0.7, max_slowdown=4)
    assert "35.0 ms" in comparison.verdict(min_agreement=0.5, max_slowdown=2)
    assert comparison.verdict(min_agreement=0.5, max_slowdown=4) is None
