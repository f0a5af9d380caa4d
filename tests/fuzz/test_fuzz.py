"""Every parser of outside bytes on damaged inputs: it returns or raises its own error, soon, and never anything else."""

import json
import random
import struct
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.errors import ExportError
from tests.fuzz.damage import damaged
from tests.fuzz.run import judge
from tests.fuzz.targets import TARGETS

_SHORT = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", TARGETS)
def test_parse_when_the_input_is_good_then_it_is_read(name):
    for seed in TARGETS[name].seeds():
        TARGETS[name].run(seed)


@pytest.mark.parametrize("name", TARGETS)
@_SHORT
@given(number=st.integers(0, 2**63), which=st.integers(0, 9))
def test_parse_when_a_good_input_is_damaged_then_only_the_promised_error_comes(name, number, which):
    seeds = TARGETS[name].seeds()
    assert judge(name, damaged(seeds[which % len(seeds)], random.Random(number))) == ""


@pytest.mark.parametrize("name", TARGETS)
@_SHORT
@given(data=st.binary(max_size=2000))
def test_parse_when_the_input_is_noise_then_only_the_promised_error_comes(name, data):
    assert judge(name, data) == ""


@pytest.mark.parametrize(
    ("op", "attribute", "value"),
    [
        ("_arange", "stop", "3e8"), ("_arange", "repeat", "100000000"), ("tile", "reps", "(400000000, 1)"),
        ("repeat", "repeats", "400000000"), ("_zeros", "shape", "(40000, 40000)"),
        ("Pad", "pad_width", "(0, 0, 0, 0, 100000000, 1, 1, 1)"), ("tile", "reps", "(" + "9" * 400 + ",)"),
    ],
)  # fmt: skip
def test_convert_when_a_constant_would_be_giant_then_it_is_refused_before_it_is_made(op, attribute, value):
    document = json.loads(TARGETS["convert"].seeds()[1])
    node = next(node for node in document["nodes"] if node["op"] == op)
    node["attrs"][attribute] = value
    tracemalloc.start()
    try:
        with pytest.raises(ExportError) as caught:
            TARGETS["convert"].run(json.dumps(document).encode())
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 1000


def _params(*dims, flag=0, magic=0xF993FAC9, storage=0):
    head = struct.pack(f"<QQQIii{len(dims)}q", 0x112, 0, 1, magic, storage, len(dims), *dims)
    return head + struct.pack("<iii", 1, 0, flag) + bytes(64) + struct.pack("<QQ", 1, 5) + b"arg:w"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_params(2**62, 2**62), "has the shape"),
        (_params(2**40, 0, 2**40), "has the shape"),
        (_params(-4), "has the shape"),
        (_params(2**33), "truncated"),
        (_params(4, flag=99), "unknown data type 99"),
        (_params(4, storage=1), "stored sparse"),
        (_params(4)[:50], "truncated"),
        (struct.pack("<QQQ", 0x112, 0, 2**60), "claims"),
        (b"PK" + bytes(40), "not an MXNet parameter file"),
    ],
)
def test_params_when_damaged_in_a_known_way_then_the_error_says_which(data, message):
    with pytest.raises(ValueError, match=message):
        TARGETS["params"].run(data)


@pytest.mark.parametrize(
    ("symbol", "message"),
    [
        (b'{"nodes": [{"op": "null", "name": "a", "inputs": [[0, 0, 0]]}], "heads": [[0, 0, 0]]}', "does not come before"),
        (b'{"nodes": [{"op": "x", "name": "a", "inputs": [[1, 0, 0]]}, {"op": "x", "name": "b", "inputs": [[0, 0, 0]]}], "heads": [[0, 0, 0]]}', "does not come before"),
        (b'{"nodes": [{"op": 3, "name": "a"}], "heads": [[0, 0, 0]]}', "no op and name"),
        (b'{"nodes": [], "heads": []}', "no heads"),
        (b'{"nodes": [{"op": "null", "name": "a"}], "heads": [[5, 0, 0]]}', "does not come before"),
        (b"[" * 100_000, "does not parse"),
        (b'{"nodes": 7}', "no list of nodes"),
    ],
)  # fmt: skip
def test_symbol_when_damaged_in_a_known_way_then_the_error_says_which(symbol, message):
    with pytest.raises(ValueError, match=message):
        TARGETS["symbol"].run(symbol)
