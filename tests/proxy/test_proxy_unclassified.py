"""Parts that the route table does not name: counted and told once each, however many a backend invents."""

from structlog.testing import capture_logs

from gateway.proxy import unclassified
from gateway.proxy.unclassified import Unclassified


def test_each_part_is_told_once_and_counted_each_time():
    seen = Unclassified()
    with capture_logs() as told:
        seen("dossier", ("/rubriques/neuve",))
        seen("dossier", ("/rubriques/neuve", "/autre"))
    assert [(line["route"], line["path"]) for line in told] == [("dossier", "/rubriques/neuve"), ("dossier", "/autre")]
    assert seen.counts() == {("dossier", "/rubriques/neuve"): 2, ("dossier", "/autre"): 1}


def test_a_backend_that_invents_names_without_end_fills_neither_memory_nor_log(monkeypatch):
    monkeypatch.setattr(unclassified, "PATHS_KEPT", 10)
    seen = Unclassified()
    with capture_logs() as told:
        for invented in range(100):
            seen("dossier", (f"/{invented}",))
        seen("dossier", ("/3",))
    assert len(told) == 10
    assert len(seen.counts()) == 10
    assert seen.counts()["dossier", "/3"] == 2
