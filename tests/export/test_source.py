"""Reading saved models: every spelling, and every way a file can be wrong."""

from __future__ import annotations

import contextlib
import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import params_bytes, symbol_document, symbol_weights, write_model

from export import source
from export.errors import ExportError, SourceError
from export.params import read_params


def test_load_when_files_are_good_then_graph_weights_and_digests_are_there(tmp_path):
    symbol, params = write_model(tmp_path)
    graph = source.load(symbol, params)
    assert graph.free_variables() == ["data"]
    assert [graph.output_name(ref) for ref in graph.heads] == ["dense_output"]
    np.testing.assert_array_equal(graph.params["conv_bias"], symbol_weights()["arg:conv_bias"])
    assert graph.digests == source.digests(symbol, params)
    assert len(graph.digest) == 64


@pytest.mark.parametrize("spelling", ["attr", "param", "attrs"])
def test_load_when_attributes_are_spelled_as_in_older_versions_then_they_are_read(tmp_path, spelling):
    document = symbol_document()
    for node in document["nodes"]:
        if "attrs" in node:
            node[spelling] = node.pop("attrs")
    symbol, params = write_model(tmp_path, document)
    assert source.load(symbol, params).nodes[-1].values == {"num_hidden": "3"}


@pytest.mark.parametrize("magic", [None, 0xF993FAC8, 0xF993FAC9, 0xF993FACA])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool"])
def test_read_params_when_written_by_any_version_then_arrays_come_back(magic, dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    found = read_params(params_bytes({"arg:a": array, "aux:b": array[0]}, magic), "file")
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"], array)
    assert found["b"].dtype == array.dtype


def test_read_params_when_mxnet_wrote_the_file_then_it_agrees_bit_for_bit(tmp_path):
    from export.zoo.runtime import mxnet, quiet

    weights = symbol_weights()
    with quiet():
        mx = mxnet()
        mx.nd.save(str(tmp_path / "w.params"), {name: mx.nd.array(array) for name, array in weights.items()})
    found = source.load_params(tmp_path / "w.params")
    for name, array in weights.items():
        assert found[name.split(":")[1]].tobytes() == array.tobytes()


@pytest.mark.parametrize("keep", [0, 7, 8, 20, 24, 30, 60, 200, -1])
def test_read_params_when_truncated_then_the_error_names_the_file(keep):
    data = params_bytes(symbol_weights())[:keep]
    with pytest.raises(SourceError, match=r"w\.params"):
        read_params(data, "w.params")


def _with_header(*parts: bytes) -> bytes:
    return struct.pack("<QQQ", 0x112, 0, 1) + b"".join(parts)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PK\x03\x04" + bytes(100), "not an MXNet parameter file"),
        (struct.pack("<QQQ", 0x112, 0, 1 << 60), "arrays"),
        (_with_header(struct.pack("<Iii2q", 0xF993FAC9, 0, 2, 1 << 40, 1 << 40), bytes(64)), "shape"),
        (_with_header(struct.pack("<Iiiq", 0xF993FAC9, 0, 1, -5), bytes(64)), "shape"),
        (_with_header(struct.pack("<Iii", 0xF993FAC9, 0, 4000), bytes(64)), "4000 dimensions"),
        (_with_header(struct.pack("<Iii", 0xF993FAC9, 1, 1), bytes(64)), "sparse"),
        (_with_header(struct.pack("<Iiiqiii", 0xF993FAC9, 0, 1, 1, 1, 0, 99), bytes(64)), "data type 99"),
        (_with_header(struct.pack("<Iii", 0xF993FAC9, 0, 0), struct.pack("<QQ", 1, 1), b"a"), "holds no data"),
        (params_bytes({"arg:a": np.zeros(1, np.float32)})[:-21] + struct.pack("<QQ", 0, 0), "0 names"),
    ],
)
def test_read_params_when_the_content_is_impossible_then_the_error_says_what(data, words):
    with pytest.raises(SourceError, match=words):
        read_params(data, "w.params")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=12), st.integers(0, 800))
def test_read_params_when_bytes_are_damaged_then_only_named_errors_come(at, noise, cut):
    data = bytearray(params_bytes(symbol_weights()))
    data[at : at + len(noise)] = noise
    with contextlib.suppress(SourceError):
        read_params(bytes(data[: len(data) - cut]), "w.params")


def _edited(edit) -> str:
    document = symbol_document()
    edit(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "does not parse"),
        ("[" * 100_000, "does not parse"),
        ("[1, 2]", "no list of nodes"),
        ('{"nodes": [], "heads": []}', "no heads"),
        (_edited(lambda d: d["nodes"][9]["inputs"].append([9, 0, 0])), "does not come before"),
        (_edited(lambda d: d["nodes"][9]["inputs"].append([12, 0, 0])), "does not come before"),
        (_edited(lambda d: d["nodes"][9]["inputs"].append("x")), r"not \[node, output, version\]"),
        (_edited(lambda d: d["heads"].append([99, 0, 0])), "does not come before"),
        (_edited(lambda d: d["nodes"][9].pop("name")), "no op and name"),
        (_edited(lambda d: d["nodes"][9].update(attrs=3)), "not an object"),
        (_edited(lambda d: d["nodes"][9]["attrs"].update(kernel=3)), "is not a string"),
        (_edited(lambda d: d["nodes"].append(3)), "not an object"),
    ],
)
def test_load_symbol_when_the_file_is_wrong_then_the_error_names_file_and_fault(tmp_path, text, words):
    path = tmp_path / "net-symbol.json"
    path.write_text(text)
    with pytest.raises(SourceError, match=words) as caught:
        source.load_symbol(path)
    assert str(path) in str(caught.value)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda x: (
            st.lists(x) | st.dictionaries(st.sampled_from(["nodes", "heads", "op", "name", "inputs", "attrs"]), x)
        ),
    )
)
def test_load_symbol_when_json_is_arbitrary_then_only_named_errors_come(tmp_path_factory, document):
    path = tmp_path_factory.mktemp("fuzz") / "net-symbol.json"
    path.write_text(json.dumps(document))
    with pytest.raises(SourceError):
        source.load_symbol(path)


def test_load_when_a_file_is_missing_then_the_error_names_it(tmp_path):
    symbol, params = write_model(tmp_path)
    with pytest.raises(SourceError, match=r"absent-symbol\.json"):
        source.load(tmp_path / "absent-symbol.json", params)
    with pytest.raises(SourceError, match=r"absent\.params"):
        source.load(symbol, tmp_path / "absent.params")


def test_load_when_the_weights_are_of_another_model_then_the_error_names_both(tmp_path):
    symbol, params = write_model(tmp_path, weights={"arg:other": np.zeros(3, np.float32)})
    with pytest.raises(SourceError, match=r"holds none of the weights.*'other'"):
        source.load(symbol, params)


def test_translate_when_a_weight_is_missing_then_the_error_names_it(tmp_path):
    from export.translate import translate

    weights = symbol_weights()
    del weights["arg:dense_weight"]
    symbol, params = write_model(tmp_path, weights=weights)
    with pytest.raises(ExportError, match="dense_weight"):
        translate(source.load(symbol, params), input_hw=(8, 8))
