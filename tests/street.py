"""The demo's detector, which the repository ships: what the tests convert when they want a real net."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_MODEL = ROOT / "examples" / "street_ssd"
STREET = [
    *("--symbol", str(_MODEL / "street_ssd-symbol.json"), "--params", str(_MODEL / "street_ssd-0000.params")),
    *("--task", "detection", "--input", "288x384", "--labels", str(_MODEL / "labels.txt")),
    *("--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"),
]
"""The arguments of `gluon-export convert` that make the demo's bundle."""
