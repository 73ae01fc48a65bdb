"""What happens in one turn of the loop, between requests that were ready together."""

import sqlite3
import time

import pytest
from sqlalchemy import Column, MetaData, String, Table, insert, select

from gateway.database.opening import open_database

METADATA = MetaData()
RIGHTS = Table("rights", METADATA, Column("right", String))
QUESTION = select(RIGHTS.c.right)


@pytest.fixture
def alone(tools):
    place = tools.Place()
    yield place
    place.close()


def test_a_request_that_ends_after_a_change_knows_it_though_it_was_begun_in_the_same_turn(alone, tools, tmp_path):
    file = tmp_path / "rights.db"
    rights = open_database(f"sqlite:///{file}", METADATA, setting="test")
    with rights.change() as connection:
        connection.execute(insert(RIGHTS).values(right="open"))

    def read(environ, start_response, _):
        right = rights.reading().ask(QUESTION, lambda rows: rows[0][0])
        return alone.town.send(start_response, right.encode())

    def stay(environ, start_response, _):
        time.sleep(0.5)  # the requests behind are ready together
        return alone.town.send(start_response, b"stayed")

    def withdraw(environ, start_response, _):
        answer = read(environ, start_response, _)
        beside = sqlite3.connect(file)
        beside.execute("UPDATE rights SET right = 'closed'")
        beside.commit()
        beside.close()
        late.sendall(b"\r\n\r\n")
        time.sleep(0.05)
        return answer

    alone.town.do_read, alone.town.do_stay, alone.town.do_withdraw = read, stay, withdraw
    with alone.connect() as first, alone.connect() as second, alone.connect() as late:
        time.sleep(0.1)
        first.sendall(tools.get("/stay"))
        time.sleep(0.1)
        second.sendall(tools.get("/withdraw"))
        late.sendall(tools.get("/read").removesuffix(b"\r\n\r\n"))
        assert tools.read_one(first).body == b"stayed"
        assert tools.read_one(second).body == b"open"
        assert tools.read_one(late).body == b"closed"
    rights.close()


def test_an_answer_that_is_about_to_be_sent_is_not_given_up_as_one_that_nobody_takes(alone, tools, monkeypatch):
    monkeypatch.setattr("gateway.server.worker.MOST_OUTGOING", 100_000)

    def late(environ, start_response, _):
        time.sleep(0.4)  # the sweep is due before what is answered in this turn is sent
        return alone.town.send(start_response, b"a" * 200_000)

    alone.town.do_late = late
    with alone.connect() as client:
        client.sendall(tools.get("/late"))
        assert tools.read_one(client).body == b"a" * 200_000
