"""The sixteen mistakes found in peers' code: each is a test of ours, and this is where each is."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent

MISTAKES = {
    "a refused CONNACK is treated as connected": (
        "edge/test_uplink.py", "test_uplink_when_refused_then_it_is_not_connected_and_sends_nothing"),
    "subscribes to its own topics": (
        "system/test_agent.py", "test_run_when_a_video_shows_squares_then_a_subscriber_hears_them_come_and_go"),
    "stamps the frame before the blocking read": (
        "edge/test_reader.py", "test_reader_when_a_read_blocks_then_the_frame_is_stamped_after_it"),
    "never clears its connected flag": (
        "edge/test_uplink.py",
        "test_uplink_when_the_connection_goes_then_it_is_no_longer_connected_and_what_was_not_acknowledged_comes_again"),
    "a callback with the wrong number of arguments, found when the broker is away": (
        "system/test_broker_trouble.py",
        "test_run_when_the_broker_restarts_then_nothing_accepted_is_missing_and_retained_state_is_back"),
    "one exception in publish kills the thread": (
        "edge/test_uplink.py", "test_uplink_when_send_raises_then_the_thread_lives_and_the_message_is_not_lost"),
    "pops a message before it is acknowledged": (
        "edge/test_spool.py", "test_unacknowledged_when_connection_is_lost_then_sent_again_in_order"),
    "a full spool rejects the newest": (
        "edge/test_spool_bounds.py", "test_full_when_lower_classes_are_there_then_their_oldest_goes_first_with_a_receipt"),
    "a corrupt spool file is deleted": (
        "edge/test_spool_faults.py", "test_first_page_when_overwritten_then_salvaged_and_kept_aside"),
    "reads the spool without ORDER BY": (
        "edge/test_spool_stateful.py", "SpoolMachine"),
    "flush() called fsync": (
        "edge/test_spool_power.py", "test_power_cut_when_anywhere_then_no_committed_row_is_lost"),
    "state topics not retained": (
        "system/test_agent.py", "test_run_when_a_subscriber_comes_late_then_retained_topics_tell_it_the_state"),
    "TLS verification off by default": (
        "system/test_tls.py", "test_run_when_the_certificate_is_not_to_be_trusted_then_it_never_connects"),
    "decodes a frame before checking that the read succeeded": (
        "edge/test_reader.py",
        "test_reader_when_a_grab_fails_then_nothing_is_decoded_and_the_camera_is_closed_and_opened_again"),
    "frame dropping that pins itself at a low rate": (
        "edge/test_reader.py", "test_reader_when_fps_is_capped_at_the_cameras_own_then_jitter_does_not_halve_it"),
    "QoS 0 by default for events": (
        "system/test_agent.py", "test_run_when_a_video_shows_squares_then_a_subscriber_hears_them_come_and_go"),
}  # fmt: skip


@pytest.mark.parametrize(("mistake", "where"), MISTAKES.items(), ids=[m.replace(" ", "-") for m in MISTAKES])
def test_mistake_when_it_is_known_then_it_has_a_test(mistake, where):
    file, name = where

    assert f" {name}(" in (HERE / file).read_text(), f"{mistake}: {name} is not in {file}"


def test_mistakes_when_counted_then_they_are_sixteen():
    assert len(MISTAKES) == 16
