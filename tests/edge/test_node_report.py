"""What a node says of itself: info, state and health, as the published schemas promise, and the clock it says it by."""

from payload_parts import T0, Kept, assert_valid, payloads

from edge.clock import Clock, iso_utc, kernel_clock_state
from edge.health.health import Health, percentiles
from edge.reporting.report import Report


def test_report_when_a_node_speaks_of_itself_then_info_state_and_health_are_valid():
    kept = Kept()
    health = Health(["door"], mono=iter([0.0, *[1.0] * 10, 2.0]).__next__)
    report = Report(payloads(), kept.outbox, health)
    report.born(runtime={"provider": "CPUExecutionProvider", "fell_away": {"cuda": "not here"}}, cameras={})
    report.state_changed("door", "offline", "r" * 9999)
    for _ in range(10):
        report.frame_read("door")
        health.frame_used("door", age_ms=5, pre_ms=1, infer_ms=3, post_ms=1)
    outbox = dict.fromkeys(("connects", "sent", "refused", "dead", "depth", "bytes"), 0)
    outbox |= {"connected": True, "dropped": dict.fromkeys(("NOW_OR_NEVER", "C", "B", "A"), 0), "alarms": ["disk-full"]}
    report.health({"door": {"dropped": 2, "damaged": 1}}, {"outbox": outbox})

    told = {t: (b, m) for t, b, m in kept.all()}

    for payload, _ in told.values():
        assert_valid(payload)
    assert told["info"][1].retain
    assert told["door/state"][1].retain
    assert not told["health"][1].retain
    assert told["health"][0]["cameras"]["door"] == {
        "state": "offline",
        "frames": 10,
        "inferred": 10,
        "gated": 0,
        "dropped": 2,
        "damaged": 1,
        "fps": 5.0,
    }
    assert told["info"][0]["labels"][1] == {"label": "traffic light", "topic": "traffic_light-1"}


def test_info_when_there_are_thousands_of_labels_then_it_still_fits():
    many = payloads([f"a rather long label number {i}" for i in range(21_000)])
    info = many.info(runtime={"provider": "x", "fell_away": {}}, cameras={}, started_ns=T0)

    assert info["labels"] is None
    assert info["classes"] == 21_000


def test_percentiles_when_values_are_known_then_by_nearest_rank():
    assert percentiles(range(1, 101)) == {"p50": 50, "p90": 90, "p99": 99, "max": 100}
    assert percentiles([7]) == {"p50": 7, "p90": 7, "p99": 7, "max": 7}
    assert percentiles([]) is None


def test_health_when_it_runs_for_long_then_it_stays_small():
    health = Health(["a"])
    for i in range(10_000):
        health.frame_used("a", age_ms=i, pre_ms=0, infer_ms=0, post_ms=0)

    assert health.figures({})["latency"]["age_ms"]["max"] == 9999
    assert health.figures({})["latency"]["age_ms"] is None


def test_clock_when_asked_often_then_the_kernel_is_asked_every_ten_seconds():
    now = [0]
    asked = []

    def ask():
        asked.append(now[0])
        return kernel_clock_state()

    clock = Clock(mono_ns=lambda: now[0], ask=ask)
    for second in range(25):
        now[0] = second * 10**9
        clock.state()

    assert asked == [0, 11 * 10**9, 22 * 10**9]
    assert clock.state().source in {"kernel", "unknown"}


def test_iso_utc_when_given_nanoseconds_then_microseconds_are_kept():
    assert iso_utc(T0) == "2025-11-22T10:22:01.123456Z"
    assert iso_utc(0) == "1970-01-01T00:00:00.000000Z"
