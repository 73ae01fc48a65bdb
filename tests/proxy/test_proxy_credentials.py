"""Which session a request claims: one token, of one shape, in one place, or a refusal."""

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, ForeignOrigin, NotSignedIn, SessionEnded, TwoProofs
from gateway.proxy.credentials import TOLD_EVERY, Credentials, Door, csrf_token

TOKEN = "a" * 43
OTHER = "b" * 43
DOOR = Door("http://gateway.example:8080", ["Cafpro.example"])
SECURE = Door("https://cafpro.example", [])

CLAIMS = {
    "a bearer token": ({"HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}, Credentials(TOKEN, "bearer")),
    "bearer in small letters": ({"HTTP_AUTHORIZATION": f"bearer {TOKEN}"}, Credentials(TOKEN, "bearer")),
    "a cookie": ({"HTTP_COOKIE": f"cafpro={TOKEN}"}, Credentials(TOKEN, "cookie")),
    "a cookie among others": ({"HTTP_COOKIE": f"x=1; cafpro={TOKEN}; y"}, Credentials(TOKEN, "cookie")),
    "both alike": (
        {"HTTP_AUTHORIZATION": f"Bearer {TOKEN}", "HTTP_COOKIE": f"cafpro={TOKEN}"},
        Credentials(TOKEN, "bearer"),
    ),
    "nothing": ({}, NotSignedIn),
    "another cookie": ({"HTTP_COOKIE": "x=1"}, NotSignedIn),
    "the name in capitals": ({"HTTP_COOKIE": f"CAFPRO={TOKEN}"}, NotSignedIn),
    "the secure door's cookie": ({"HTTP_COOKIE": f"__Host-cafpro={TOKEN}"}, NotSignedIn),
    "a password": ({"HTTP_AUTHORIZATION": "Basic dDE6dDE="}, SessionEnded),
    "a password and a good cookie": (
        {"HTTP_AUTHORIZATION": "Basic dDE6dDE=", "HTTP_COOKIE": f"cafpro={TOKEN}"},
        SessionEnded,
    ),
    "an empty header": ({"HTTP_AUTHORIZATION": ""}, SessionEnded),
    "both, that differ": (
        {"HTTP_AUTHORIZATION": f"Bearer {TOKEN}", "HTTP_COOKIE": f"cafpro={OTHER}"},
        TwoProofs,
    ),
    "two cookies": ({"HTTP_COOKIE": f"cafpro={TOKEN}; cafpro={OTHER}"}, TwoProofs),
    "the same cookie twice": ({"HTTP_COOKIE": f"cafpro={TOKEN}; cafpro={TOKEN}"}, TwoProofs),
}


@pytest.mark.parametrize(("environ", "expected"), CLAIMS.values(), ids=CLAIMS)
def test_a_claim_is_read_in_one_way(environ, expected):
    if isinstance(expected, Credentials):
        assert DOOR.credentials(environ) == expected
    else:
        with pytest.raises(expected):
            DOOR.credentials(environ)


JOINED = {
    "two bearers joined": {"HTTP_AUTHORIZATION": f"Bearer {TOKEN}, Bearer {OTHER}"},
    "two cookie headers joined": {"HTTP_COOKIE": f"cafpro={TOKEN}, cafpro={OTHER}"},
    "a decorated bearer": {"HTTP_AUTHORIZATION": f"Bearer  {TOKEN}"},
    "a quoted cookie": {"HTTP_COOKIE": f'cafpro="{TOKEN}"'},
}


@pytest.mark.parametrize("environ", JOINED.values(), ids=JOINED)
def test_what_was_joined_or_decorated_is_nobodys_token(environ):
    assert DOOR.credentials(environ).token not in (TOKEN, OTHER)


HOSTS = {
    "gateway.example:8080": True,
    "GATEWAY.example:8080": True,
    "cafpro.example": True,
    "gateway.example": False,
    "gateway.example:80": False,
    "gateway.example:8080, cafpro.example": False,
    "gateway.example:8080.": False,
    "": False,
    "elsewhere": False,
}


@pytest.mark.parametrize(("host", "ours"), HOSTS.items(), ids=repr)
def test_only_our_own_hosts_are_answered(host, ours):
    if ours:
        DOOR.check_host({"HTTP_HOST": host})
    else:
        with pytest.raises(BadRequest):
            DOOR.check_host({"HTTP_HOST": host})


def test_a_host_that_is_not_ours_is_told_every_now_and_then_and_not_named():
    door = Door("https://cafpro.example", [])

    def told(host):
        with structlog.testing.capture_logs() as logs, pytest.raises(BadRequest):
            door.check_host({"HTTP_HOST": host})
        return logs

    [said] = told("127.0.0.1:8080")
    assert said == {"event": "another host is named", "log_level": "warning", "ours": ["cafpro.example"]}
    assert [told(f"{number}.example") for number in range(100)] == [[]] * 100
    door._told_at -= TOLD_EVERY
    assert told("127.0.0.1:8080") == [said]


def test_a_request_without_a_host_is_refused():
    with pytest.raises(BadRequest):
        DOOR.check_host({})


OURS = "http://gateway.example:8080"
CHANGES = {
    "our origin and the token": (OURS, csrf_token(TOKEN), True),
    "no origin": (None, csrf_token(TOKEN), False),
    "another origin": ("http://elsewhere", csrf_token(TOKEN), False),
    "a null origin": ("null", csrf_token(TOKEN), False),
    "our host over https": ("https://gateway.example:8080", csrf_token(TOKEN), False),
    "our origin as a prefix": (OURS + ".elsewhere", csrf_token(TOKEN), False),
    "no token": (OURS, None, False),
    "another session's token": (OURS, csrf_token(OTHER), False),
    "the session itself": (OURS, TOKEN, False),
    "a token that is not ASCII": (OURS, "é", False),
    "a token beyond latin-1": (OURS, "\N{SNOWMAN}", False),
}


@pytest.mark.parametrize(("origin", "token", "accepted"), CHANGES.values(), ids=CHANGES)
def test_a_change_by_cookie_needs_our_origin_and_its_token(origin, token, accepted):
    given = {"HTTP_ORIGIN": origin, "HTTP_X_CSRF_TOKEN": token}
    environ = {name: value for name, value in given.items() if value is not None}
    if accepted:
        DOOR.check_change(environ, Credentials(TOKEN, "cookie"))
    else:
        with pytest.raises(ForeignOrigin):
            DOOR.check_change(environ, Credentials(TOKEN, "cookie"))
    DOOR.check_change(environ, Credentials(TOKEN, "bearer"))


@pytest.mark.parametrize(
    ("door", "expected"),
    [
        pytest.param(DOOR, "cafpro=t; Path=/; Max-Age=60; HttpOnly; SameSite=Strict", id="http"),
        pytest.param(SECURE, "__Host-cafpro=t; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure", id="https"),
    ],
)
def test_the_cookie_is_as_closed_as_its_door_allows(door, expected):
    assert door.set_cookie("t", 60) == ("Set-Cookie", expected)


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_headers_whatever_make_a_fault(authorization, cookie):
    try:
        credentials = DOOR.credentials({"HTTP_AUTHORIZATION": authorization, "HTTP_COOKIE": cookie})
    except (SessionEnded, TwoProofs):
        return
    assert authorization.partition(" ")[2] == credentials.token
    assert credentials.by == "bearer"
