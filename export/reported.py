"""The shape of `report.json`, version 1: what `quantize` writes, and what whoever reads it may count on.

Its JSON Schema is docs/report-1.0.schema.json.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["SCHEMA_VERSION", "Report", "schema"]

SCHEMA_VERSION = "report/1.0"

Interval = tuple[float, float]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Accuracy(_Part):
    """What was held against what: shares of one."""

    measure: str
    float_: float = Field(alias="float")
    quantized: float
    drop: float
    intervals_95: dict[Literal["float", "quantized", "drop"], Interval]
    images: int
    numbers: dict[str, Any] = Field(description="What the values come from: counts, or all metrics of both models.")


class Latency(_Part):
    """Milliseconds of one inference of both models in turns; `ratio` above 1 is faster than float."""

    float_: float = Field(alias="float")
    quantized: float
    ratio: float


class LatencyHow(_Part):
    """How the gate timed; `percentile` 0 is the fastest run."""

    provider: str
    threads: int
    runs: int
    percentile: int
    clock: Literal["thread_time", "perf_counter"]


class Gate(_Part):
    """The verdict; `reasons` is empty when `ok`."""

    ok: bool
    reasons: list[str]
    max_drop: float
    min_speedup: float
    accuracy: Accuracy
    latency_ms: Latency
    latency_how: LatencyHow
    size_ratio: float


class Tried(_Part):
    """One model of the search, in order: `put_back` layers in float, which do that share of the `work`."""

    method: str
    put_back: int
    work: float
    drop: float


class Sensitivity(_Part):
    """How far the results move when only this layer is quantized, and its share of the net's multiplications.

    Of a large net several layers are quantized `together`: then it is how far all of them move the results.
    """

    layer: str
    error: float
    work: float
    together: int


class Layer(_Part):
    """Signal over what the quantized model adds to it, at a layer's output."""

    layer: str
    op: str
    runs_in: Literal["int8", "fp16", "float"]
    snr_db: float


class Bytes(_Part):
    """Sizes of the models' files."""

    float_: int = Field(alias="float")
    quantized: int
    ratio: float


class Model(_Part):
    """Which model it is about."""

    name: str
    version: str
    task: str
    classes: int
    height: int
    width: int


class Digests(_Part):
    """SHA-256 of both models and of what they were made from."""

    float_model: str
    model: str
    source: dict[str, str]


class ProviderLatency(_Part):
    """One provider with so many threads; milliseconds of the fastest of some inferences."""

    provider: str
    threads: int
    float_ms: float
    quantized_ms: float
    ratio: float
    runs: int


class MeasuredBy(_Part):
    """On which provider the float model answered and the quantized one, and on which the noise of layers was measured.

    Timed were both on the quantized one's; see `latency_how`.
    """

    float_: str = Field(alias="float")
    quantized: str
    layers: str


class Effort(_Part):
    """How large the net is, and so how much was done: `multiplications` for one picture, in its layers with weights."""

    multiplications: int
    factor: float
    calibration_given: int


class Report(_Part):
    """The whole document."""

    schema_version: Literal["report/1.0"]
    model: Model
    precision: Literal["int8", "fp16"]
    scheme: Literal["u8s8", "s8s8", "float16"]
    method: str
    per_channel: bool
    bias_correction: bool
    equalized: int
    rounding: Literal["compensated", "nearest"]
    images: int
    images_skipped: dict[str, str]
    calibrated_on: int
    effort: Effort
    judged_on: str
    judged_on_calibration_images: bool
    quantized: dict[str, int] = Field(description="Nodes that run in fewer bits, by operator.")
    float_: dict[str, int] = Field(alias="float", description="Nodes that stay float, by operator.")
    kept_float: dict[str, str] = Field(description="Layers that stay float, and why.")
    bytes: Bytes
    machine: str
    tools: dict[str, str]
    digests: Digests
    tried: list[Tried]
    sensitivity: list[Sensitivity]
    layers: list[Layer]
    gate: Gate
    measured_by: MeasuredBy
    latency: list[ProviderLatency]


def schema() -> dict[str, Any]:
    """The JSON Schema that docs/report-1.0.schema.json holds."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "report-1.0.schema.json"}
    return {**head, **Report.model_json_schema()}


if __name__ == "__main__":
    import json
    import sys

    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
