"""The description of the gateway's own addresses holds all of them, as they are, and tells nothing else."""

from __future__ import annotations

import json

import pytest

from gateway import errors
from gateway.api.openapi import LOG_IN_REFUSALS, description, refusals
from gateway.app import create_app
from gateway.metrics.layout import ANSWERS, GOOD
from gateway.proxy.credentials import CSRF_HEADER, Door
from gateway.settings import load
from tests.furnishing import furnished
from tests.identity.vouching import provider
from tests.story.running import is_problem

TOKEN = "un-jeton-de-lecture-de-32-caracteres"


@pytest.fixture(scope="module")
def settings_of(tmp_path_factory):
    """Settings like a new installation's, with these values in the environment."""

    def made(public_url="http://127.0.0.1:8080", **environ):
        folder = tmp_path_factory.mktemp("described")
        (folder / "token").write_text(f"{TOKEN}\n")
        (folder / "idp.secret").write_text(f"{TOKEN}\n")
        (folder / "issuers.toml").write_text(provider())
        file = furnished(folder / "gateway", public_url=public_url)
        return load(file, {name: value.format(folder=folder) for name, value in environ.items()})

    return made


WITH_METRICS = {"CAFPRO_METRICS__TOKEN_FILE": "{folder}/token"}
WITH_PROVIDERS = {"CAFPRO_IDENTITY__ISSUERS": "{folder}/issuers.toml"}
BOTH = pytest.mark.parametrize("environ", [{}, WITH_METRICS], ids=["without metrics", "with metrics"])
ALL = pytest.mark.parametrize(
    "environ", [{}, WITH_METRICS, WITH_PROVIDERS], ids=["without metrics", "with metrics", "with OpenID providers"]
)


@ALL
def test_whatever_an_address_answers_has_a_series_of_its_own(settings_of, environ):
    """`other` is a defect of ours."""
    described = create_app(settings_of(**environ)).test_client().get("/-/openapi.json").json
    statuses = {
        int(status)
        for methods in described["paths"].values()
        for operation in methods.values()
        for status in operation["responses"]
    }
    assert {200, 201, 202, 204} <= statuses
    assert {status for status in statuses if status < 400} <= set(GOOD)
    assert {str(status) for status in statuses} <= {status for status, _ in ANSWERS}


@ALL
def test_what_is_described_is_what_there_is_both_ways(settings_of, environ):
    app = create_app(settings_of(**environ))
    described = app.test_client().get("/-/openapi.json").json
    there = {
        (rule.rule.replace("<", "{").replace(">", "}"), method)
        for rule in app.url_map.iter_rules()
        for method in rule.methods
    }
    said = {(path, method.upper()) for path, methods in described["paths"].items() for method in methods}
    assert there == said | {(path, "HEAD") for path, method in said if method == "GET"}
    assert (("/-/metrics", "GET") in said) is (environ == WITH_METRICS)
    assert (("/-/openid/{provider}", "GET") in said) is (environ == WITH_PROVIDERS)
    assert ("scrape" in described["components"]["securitySchemes"]) is (environ == WITH_METRICS)


@BOTH
def test_every_reference_leads_somewhere_and_every_schema_is_used(environ):
    document = description(Door("http://127.0.0.1:8080", []), metrics=bool(environ))
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        assert text.count(f'"#/components/schemas/{name}"') >= 1, name
    names = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names == set(document["components"]["schemas"])
    responses = document["components"]["responses"]
    assert {part.partition('"')[0] for part in text.split("#/components/responses/")[1:]} == set(responses)
    asked = {scheme for one in operations(document) for need in one["security"] for scheme in need}
    assert asked == set(document["components"]["securitySchemes"])


def operations(document):
    return [operation for methods in document["paths"].values() for operation in methods.values()]


def test_every_operation_says_what_it_needs_and_has_a_name_of_its_own():
    found = operations(description(Door("https://cafpro.example", []), metrics=True, providers=["idp"]))
    assert len({operation["operationId"] for operation in found}) == len(found)
    for operation in found:
        assert operation["summary"]
        assert "security" in operation


@pytest.mark.parametrize(
    ("public_url", "cookie"), [("https://cafpro.example", "__Host-cafpro"), ("http://127.0.0.1:8080", "cafpro")]
)
def test_the_cookie_and_the_origin_are_the_doors(public_url, cookie):
    document = description(Door(public_url, []), metrics=False)
    schemes = document["components"]["securitySchemes"]
    assert schemes["cookie"]["name"] == cookie
    assert "HTTP_" + schemes["change"]["name"].upper().replace("-", "_") == CSRF_HEADER
    assert document["servers"] == [{"url": public_url}]


def test_every_code_that_can_go_out_is_listed_with_its_french_sentences():
    problem = description(Door("http://h", []), metrics=False)["components"]["schemas"]["Problem"]
    kinds = refusals()
    assert problem["properties"]["code"]["enum"] == sorted({kind.shown for kind in kinds})
    for kind in kinds:
        assert f"`{kind.code}` ({kind.status}) {kind.title} : {kind.said}" in problem["description"]
    assert errors.NotEntrusted in kinds
    assert errors.Objected not in kinds, "nothing outside tells an objection"
    assert "GW321" not in json.dumps(description(Door("http://h", []), metrics=True))


def test_each_refusal_of_an_operation_stands_under_its_status_as_it_is_sent():
    responses = description(Door("http://h", []), metrics=False)["paths"]["/-/session"]["post"]["responses"]
    assert {status for status in responses if status != "201"} == {str(kind.status) for kind in LOG_IN_REFUSALS}
    for kind in LOG_IN_REFUSALS:
        content = responses[str(kind.status)]["content"]["application/problem+json"]
        assert kind.code in content["schema"]["allOf"][1]["properties"]["code"]["enum"]
        shown = content["examples"][kind.code]["value"]
        assert (shown["title"], shown["detail"], shown["status"]) == (kind.title, kind.said, kind.status)


def test_it_is_told_without_a_session_and_is_not_recorded(gateway):
    before = len(gateway.record_rows())
    answer = gateway.ask("/-/openapi.json", {"Host": "elsewhere.example"})
    head = gateway.ask("/-/openapi.json", method="HEAD")
    assert len(gateway.record_rows()) == before
    assert dict(answer.headers) == {
        "Date": answer.one("Date"),
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Content-Length": str(len(answer.body)),
    }
    assert (answer.status, head.status, head.body) == (200, 200, b"")
    assert {**dict(head.headers), "Date": ""} == {**dict(answer.headers), "Date": ""}


def test_it_says_nothing_about_anyone_nor_of_the_policies(gateway):
    """The same for every gateway under the same address, whoever is in its directory and whatever its policies open."""
    shown = gateway.ask("/-/openapi.json").json()
    assert shown == json.loads(json.dumps(description(Door(gateway.url, []), metrics=False)))
    text = json.dumps(shown).replace(gateway.url, "")  # whose port may hold any digits
    secrets = [gateway.policy(), "9990001", "Partenaire", "851", "upstream"]
    assert [word for word in secrets if word in text] == []


def test_a_browser_is_told_to_stay_on_https(settings_of):
    client = create_app(settings_of(public_url="https://cafpro.example")).test_client()
    assert client.get("/-/openapi.json").headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_another_method_is_refused_and_recorded(gateway, method):
    answer = gateway.ask("/-/openapi.json", method=method)
    is_problem(answer, 405, "GW204")
    assert gateway.recorded(answer)["code"] == "GW204"
