"""Waits between tries to connect."""

from edge.delivery.backoff import Backoff


def test_backoff_when_it_fails_again_and_again_then_the_bound_doubles_up_to_the_most():
    backoff = Backoff(least_s=0.5, most_s=10, chance=lambda: 1.0)
    assert [backoff.after(0.0) for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    assert backoff.after(19.0) == 10, "a connection that breaks at once is none"
    assert backoff.after(21.0) == 0.5


def test_backoff_when_chance_says_nothing_then_it_still_waits_a_little():
    backoff = Backoff(least_s=0.5, most_s=10, chance=lambda: 0.0)
    assert backoff.after(0.0) == 0.05
    assert backoff.longest() == 5, "who is refused waits long, whatever chance says"
