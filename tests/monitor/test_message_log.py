"""The message log: ids name what a page has; memory is bounded."""

from __future__ import annotations

import pytest

from regraft.monitor import message_log
from regraft.monitor.message_log import MessageLog


def test_a_page_gets_what_came_after_its_id():
    log = MessageLog()
    for k in range(5):
        log.add({"k": k})
    assert log.number_of(log.id_of(3)) == 3
    assert [message.data for message in log.after(3)] == ['{"k":3}', '{"k":4}']
    assert log.after(5) == []


@pytest.mark.parametrize(
    "message_id", ["", "x", "0.1", "{log}.99", "{log}.-1", "{log}.1e1", "{log}.²", "{log}.1\n", "{other}.1"]
)
def test_ids_of_other_servers_and_nonsense_start_again(message_id):
    log, other = MessageLog(), MessageLog()
    log.add({})
    names = {"{log}": log.id_of(0)[:-2], "{other}": other.id_of(0)[:-2]}
    for name, value in names.items():
        message_id = message_id.replace(name, value)
    assert log.number_of(message_id) is None


def test_old_messages_are_dropped_and_a_page_that_needs_them_starts_again(monkeypatch):
    monkeypatch.setattr(message_log, "MAX_BYTES", 50)
    log = MessageLog()
    for k in range(100):
        log.add({"k": k})
    assert log.number_of(log.id_of(10)) is None
    assert log.number_of(log.id_of(98)) == 98 and len(log.after(98)) == 2
