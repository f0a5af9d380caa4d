"""Commands: what is let through, what is refused and why, and that each happens once."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spooling import A

from edge.commands.gate import EXAMPLES, MAX_BYTES, VERBS, CommandError, Gate, switch_of
from edge.config import CommandsConfig
from edge.errors import ConfigError
from edge.signing import Keys, make_key, sign
from edge.spool import Record
from edge.spool.journal import Journal, Refusal
from edge.spool.store import Store

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=timezone.utc)


def gate(**more):
    return Gate(
        **{"node": "n1", "allow": frozenset(VERBS), "keys": Keys(), "signed": False, "now": lambda: NOW, **more}
    )


def body(**more):
    return json.dumps({"id": "c-1", **more}).encode()


@pytest.mark.parametrize("verb", VERBS)
def test_read_when_the_command_is_good_then_its_arguments_come_out(verb):
    command = gate().read(verb, body(args=EXAMPLES[verb]))
    assert (command.id, command.verb, command.args) == ("c-1", verb, EXAMPLES[verb])


@pytest.mark.parametrize(
    ("verb", "payload", "reason"),
    [
        ("ping", b"", "not JSON"),
        ("ping", b"\xff\xfe", "not JSON"),
        ("ping", b"[" * 10_000, "not JSON"),
        ("ping", b"[]", "dictionary"),
        ("ping", b'{"id": NaN}', "NaN"),
        ("ping", b"{}", "id: Field required"),
        ("ping", body(id="../etc"), "id"),
        ("ping", body(id="a/b"), "id"),
        ("ping", body(more=1), "more: Extra"),
        ("ping", body(args={"x": 1}), "args.x: Extra"),
        ("ping", b" " * (MAX_BYTES + 1), "more than"),
        ("reboot", body(), "no such verb"),
        ("detect", body(args={"on": 1}), "args.on"),
        ("detect", body(args={"on": True, "camera": "../x"}), "args.camera"),
        ("threshold", body(args={"value": 2}), "args.value"),
        ("threshold", b'{"id": "c-1", "args": {"value": 1e999}}', "args.value"),
        ("replay", body(args={"first_seq": 9, "last_seq": 3}), "before first_seq"),
        ("update", body(args={"url": "ftp://x/y", "sha256": "0" * 64}), "args.url"),
        ("ping", body(verb="update"), "says update on the topic of ping"),
        ("ping", body(expires_at="2026-11-22T09:59:59Z"), "expired"),
        ("ping", body(expires_at="soon"), "not a time"),
        ("ping", body(expires_at="2026-11-22T11:00:00"), "not a time with its zone"),
    ],
)
def test_read_when_the_command_is_bad_then_refused_with_the_reason(verb, payload, reason):
    with pytest.raises(CommandError, match=reason):
        gate().read(verb, payload)


def test_read_when_a_verb_is_not_on_the_list_then_refused_under_its_id():
    with pytest.raises(CommandError, match="update is not allowed here") as caught:
        gate(allow=frozenset(CommandsConfig().allow)).read("update", body(args=EXAMPLES["update"]))
    assert caught.value.id == "c-1"


def refusal(verb, payload):
    """None for a command that was let through, else why not."""
    try:
        gate().read(verb, payload)
    except CommandError as e:
        return e.reason
    return None


@given(st.binary(max_size=300), st.sampled_from(sorted(VERBS)))
def test_read_when_the_bytes_are_anything_then_a_command_or_a_refusal(payload, verb):
    assert refusal(verb, payload) != ""


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_read_when_the_json_is_anything_then_a_command_or_a_refusal(found):
    for payload in (found, {"id": "x", "args": found}, {"body": found, "key": found, "signature": found}):
        assert refusal("detect", json.dumps(payload).encode()) != ""


# ---- signed


@pytest.fixture
def pinned(tmp_path):
    private, public = make_key()
    (tmp_path / "key.pub").write_text(public + "\n")
    return private, Keys((tmp_path / "key.pub",))


def signed(private, **more):
    inner = {
        "id": "c-1", "node": "n1", "verb": "ping", "counter": 5,
        "expires_at": (NOW + timedelta(minutes=5)).isoformat(), **more,
    }  # fmt: skip
    return json.dumps(sign(json.dumps({k: v for k, v in inner.items() if v is not None}).encode(), private)).encode()


def test_signed_when_all_is_right_then_let_through_with_key_and_counter(pinned):
    private, keys = pinned
    command = gate(keys=keys, signed=True).read("ping", signed(private))
    assert command.counter == 5
    assert command.key is not None


def test_signed_when_required_and_missing_then_refused(pinned):
    with pytest.raises(CommandError, match="is not signed"):
        gate(keys=pinned[1], signed=True).read("ping", body())


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"node": "n2"}, "another node"),
        ({"verb": "detect"}, "another verb"),
        ({"expires_at": NOW.isoformat()}, "expired"),
        ({"expires_at": (NOW + timedelta(days=8)).isoformat()}, "7 days"),
        ({"expires_at": None}, "needs expires_at"),
        ({"counter": None}, "needs expires_at and counter"),
        ({"counter": 4}, "replay"),
        ({"counter": 3}, "replay"),
    ],
)
def test_signed_when_something_in_it_is_wrong_then_refused(pinned, more, reason):
    private, keys = pinned
    with pytest.raises(CommandError, match=reason):
        gate(keys=keys, signed=True, counter_of=lambda _: 4).read("ping", signed(private, **more))


def test_signed_when_by_another_key_or_changed_then_refused(pinned):
    private, keys = pinned
    for payload in (
        signed(make_key()[0]),
        signed(private).replace(b"n1", b"n2"),
        signed(private).replace(b"c-1", b"c-2"),
    ):
        for required in (True, False):
            with pytest.raises(CommandError, match="not one of a pinned key"):
                gate(keys=keys, signed=required).read("ping", payload)


@pytest.mark.parametrize("text", ["", "not base64!", "AAAA"])
def test_keys_when_a_file_holds_none_then_an_error_that_names_it(tmp_path, text):
    (tmp_path / "bad.pub").write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.pub"):
        Keys((tmp_path / "bad.pub",))


# ---- switches


@pytest.mark.parametrize(("payload", "on"), [(b"ON", True), (b"off", False), (b" OFF\n", False)])
def test_switch_when_on_or_off_then_that(payload, on):
    assert switch_of(payload) is on


@pytest.mark.parametrize("payload", [b"", b"1", b"true", b"ONN", b"\xff" * 100])
def test_switch_when_anything_else_then_refused(payload):
    with pytest.raises(CommandError):
        switch_of(payload)


# ---- once


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "spool.db")
    yield store
    store.close()


def ack(row=1):
    return Record("edge/n1/ack/c-1", b"{}", A, row=row)


def test_journal_when_a_command_comes_twice_then_it_is_new_once(store):
    journal = Journal(store)
    assert journal.receive("c-1", "cmd/ping", b"{}", at_s=0, key="k", counter=7)
    assert not journal.receive("c-1", "cmd/ping", b"{}", at_s=1)
    assert journal.counter("k") == 7


def test_journal_when_killed_before_the_start_then_still_to_do(tmp_path):
    store = Store(tmp_path / "a.db")
    journal = Journal(store)
    for ident in ("one", "two", "three"):
        journal.receive(ident, "cmd/ping", ident.encode(), at_s=0)
    journal.start("two")
    journal.finish("one", {"ok": True}, {"detect": {"gate": False}}, ack())
    store._db.close()

    store = Store(tmp_path / "a.db")
    journal = Journal(store)
    assert [(e.id, e.body, e.started) for e in journal.unfinished()] == [
        ("two", b"two", True),
        ("three", b"three", False),
    ]
    assert journal.settings() == {"detect": {"gate": False}}
    assert [r.topic for r in store.read(0, 9, 9)[0]] == ["edge/n1/ack/c-1"], "the answer waits for the broker"
    assert not journal.receive("one", "cmd/ping", b"", at_s=9)
    store.close()


def test_journal_when_finishing_fails_then_neither_setting_nor_answer_is_there(store):
    journal = Journal(store)
    journal.receive("c-1", "cmd/detect", b"{}", at_s=0)
    with pytest.raises(ValueError, match="Out of range"):
        journal.finish("c-1", {}, {"threshold": float("nan")}, ack())
    assert journal.settings() == {}
    assert [e.id for e in journal.unfinished()] == ["c-1"]


def test_journal_when_many_were_done_then_the_oldest_are_forgotten_but_nothing_unfinished(store, monkeypatch):
    monkeypatch.setattr("edge.spool.journal._MAX_ROWS", 10)
    journal = Journal(store)
    journal.receive("first", "cmd/ping", b"", at_s=0)
    for i in range(50):
        journal.receive(f"c{i}", "cmd/ping", b"", at_s=i)
        journal.finish(f"c{i}", {}, {}, ack(i + 1))
    assert len(journal.audit(1000)) <= 12
    assert [e.id for e in journal.unfinished()] == ["first"]


def test_journal_when_commands_are_refused_then_they_are_in_the_audit_and_take_no_id_away(store, monkeypatch):
    monkeypatch.setattr("edge.spool.journal._MAX_REFUSED", 10)
    journal = Journal(store)
    journal.receive("kept", "cmd/ping", b"", at_s=0)
    journal.finish("kept", {}, {}, ack())
    for i in range(30):
        journal.refuse([Refusal("c-1", "edge/n1/cmd/ping", b"{}", "is not signed", i), Refusal("-", "", b"", "no", i)])
    found = journal.audit(1000)
    assert [state for _, _, state, _, _ in found].count("refused") == 10, "a flood is bounded"
    assert found[1][1:] == ("edge/n1/cmd/ping", "refused", "is not signed", 29)
    assert found[1][0].endswith(" c-1")
    assert not journal.receive("kept", "cmd/ping", b"", at_s=1), "and pushes out nothing that was done"
    assert journal.receive("c-1", "cmd/ping", b"", at_s=1), "what a stranger said first does not block the real one"
