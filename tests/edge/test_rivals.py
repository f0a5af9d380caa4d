"""Another client of our name: what tells that there is one, and what that there is none any more."""

import logging

import pytest

from edge.delivery.rivals import Rivals


def lost(rivals: Rivals, *stood_s: float) -> Rivals:
    for each in stood_s:
        rivals.lost(each)
    return rivals


def test_rivals_when_five_connections_in_a_row_are_short_then_it_is_said_once(caplog):
    rivals = lost(Rivals(), 1, 1, 1, 1)
    assert rivals.alarm is None

    lost(rivals, 1, 1)

    assert rivals.alarm is not None
    assert rivals.alarm.startswith("5 connections in a row were accepted and lost within 5 s")
    assert [r.levelno for r in caplog.records] == [logging.ERROR]


def test_rivals_when_a_connection_between_was_long_then_the_row_begins_anew():
    assert lost(Rivals(), 1, 1, 1, 1, 6, 1, 1, 1, 1).alarm is None


def test_rivals_when_the_broker_has_named_one_then_its_words_stay():
    rivals = Rivals()
    rivals.named("Session taken over")

    assert lost(rivals, 1, 1, 1, 1, 1).alarm == "Session taken over"


@pytest.mark.parametrize(("stood_s", "gone"), [(119, False), (121, True)])
def test_rivals_when_a_connection_stands_for_two_minutes_then_nobody_disputes_it(stood_s, gone):
    rivals = Rivals()
    rivals.named("Session taken over")

    rivals.stands(stood_s)

    assert (rivals.alarm is None) == gone
