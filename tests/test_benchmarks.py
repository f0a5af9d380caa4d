"""What the benchmarks rest on: whose time is counted, and how ratios are taken."""

import time

from benchmarks.paired import paired
from benchmarks.scheduled import Stopwatch


def test_stopwatch_when_the_thread_sleeps_then_it_is_wall_time_and_no_cpu():
    watch = Stopwatch()
    time.sleep(0.2)
    span = watch.span()

    assert span.wall_s >= 0.2
    assert span.ran_s < 0.1
    assert 0.15 <= span.own_s <= span.wall_s


def test_stopwatch_when_little_was_done_then_all_of_it_counts():
    for _ in range(20):
        end = time.thread_time() + 0.002  # half of a scheduler's tick
        watch = Stopwatch()
        while time.thread_time() < end:
            pass
        assert watch.span().ran_s >= 0.0015


def test_paired_when_one_way_is_twice_as_much_then_the_ratio_says_so():
    ticks = iter(range(10**6))
    now = 0.0

    def clock():
        return now

    def work(seconds):
        def call():
            nonlocal now
            now += seconds + 1e-9 * next(ticks)

        return call

    found = paired({"slow": work(2.0), "fast": work(1.0)}, rounds=5, inner=2, warm_up=1, clock=clock)
    assert abs(found.ratio("slow", "fast") - 2) < 1e-6
    assert abs(found.median_ms["fast"] - 1e3) < 1e-2
