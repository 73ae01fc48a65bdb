"""The fixtures of the whole system serve the tests of our own addresses too; and a directory on each of two stores."""

from typing import Any

import pytest

on_a_file = pytest.mark.parametrize("stored", ["sqlite"], indirect=True)
"""For what is answered before the directory is asked, or without it: once is enough."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stored(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of a gateway whose directory is a file of its own, or an empty database on a real server, which goes
    with the server: the gateway is there until the module's end. The record is a file.
    """
    if request.param == "sqlite":
        return {}
    return {"store__url": request.getfixturevalue("server").empty_database()}
