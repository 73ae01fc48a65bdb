"""A real nginx in front of the gateway: configured well it passes, and each mistake is found by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.selftest.verdicts import Verdict
from tests.selftest.conftest import CLOSED, OTHER, READ, Served
from tests.selftest.fronts import nginx
from tests.selftest.running import failed, try_on

CACHE = """\
proxy_cache kept; proxy_cache_key $uri; proxy_cache_valid any 1m;
proxy_ignore_headers Cache-Control Expires Set-Cookie Vary; proxy_pass http://gateway;
"""
BY_HEADER = "map $http_{} $way {{ default gateway; ~.+ backend; }}"
BY_WAY = {"location": "proxy_pass http://$way;"}
ERRORS = "proxy_intercept_errors on; error_page 400 401 403 404 405 422 /sorry; location = /sorry { return 200 'Oh.'; }"

# What is sent, and all that is found; `...`: and more, since the mistake touches nearly everything.
MISTAKES: dict[str, tuple[dict[str, object], set[object]]] = {
    "it rewrites paths": (
        {"location": "proxy_pass http://gateway/;"},
        {"dot-segments", "doubled-slashes", "encoded-ends"},
    ),
    "it matches files loosely": (
        {"server": r"location ~ ^(.*)\.css$ { rewrite ^(.*)\.css$ $1 break; proxy_pass http://gateway; }"},
        {"deceived-cache"},
    ),
    "it ignores no-store": (
        {"http": "proxy_cache_path FOLDER/cache keys_zone=kept:1m;", "location": CACHE},
        {"kept-answers", ...},
    ),
    "it compresses": (
        {"http": "gzip on; gzip_types *; gzip_proxied any; gzip_min_length 1;"},
        {"compressed"},
    ),
    "it believes X_Profil": (
        {"http": f"underscores_in_headers on; {BY_HEADER.format('x_profil')}", **BY_WAY},
        {"underscores", "claimed-identities"},
    ),
    "it lets health checkers pass": (
        {"http": "map $http_user_agent $way { default gateway; ~kube-probe backend; }", **BY_WAY},
        {"health-checkers"},
    ),
    "it answers a health check": ({"server": "location /healthz { return 200 'ok'; }"}, {"health-paths"}),
    "it hides refusals": (
        {"server": ERRORS},
        {"problems", "cache-headers", "declared-types", "kept-answers", "unknown-identifiers"},
    ),
    "it names its version": ({"server": "add_header Server 'nginx/1.22.1' always;"}, {"telling-headers"}),
    "it adds ETag": ({"server": "add_header ETag '\"x\"' always;"}, {"validators"}),
    "it serves any host": (
        {"strangers": True, "host": "127.0.0.1"},
        {"foreign-hosts"},
    ),
    "it speaks old TLS": (
        {"protocols": "TLSv1 TLSv1.1 TLSv1.2", "http": "ssl_ciphers ALL:@SECLEVEL=0;"},
        {"old-tls"},
    ),
    "it leads past the gateway": (
        {"server": "location /dossiers/ { proxy_pass http://backend; }"},
        {"open-rubrics", "closed-rubrics", "without-session", "absent-dossiers", ...},
    ),
    "it drops headers": (
        {
            "server": "proxy_hide_header Cache-Control; proxy_hide_header X-Content-Type-Options; "
            "proxy_hide_header Strict-Transport-Security;"
        },
        {"cache-headers", "declared-types", "strict-transport"},
    ),
    "it answers in parts": ({"server": "proxy_force_ranges on;"}, {"partial-answers", "validators"}),
    "it opens to other sites": ({"server": "add_header Access-Control-Allow-Origin * always;"}, {"cross-site"}),
    "it changes cookies": ({"server": "proxy_cookie_flags ~ nosecure samesite=lax;"}, {"cookie-flags"}),
    "it drops the query": (
        {"location": "rewrite ^ $uri? break; proxy_pass http://gateway;"},
        {"undeclared-parameters", "problems", "dot-segments", "doubled-slashes", "encoded-ends", ...},
    ),
    "it redirects": (
        {"server": "location ~ ^(.+)/$ { return 301 $1; }"},
        {"redirects", "dot-segments", "doubled-slashes", "metrics"},
    ),
    "it repeats what it does not know": (
        {"server": "proxy_intercept_errors on; error_page 404 @no; location @no { return 404 'No $uri'; }"},
        {"reflections", "problems", "cache-headers", "declared-types", "kept-answers"},
    ),
}


@pytest.fixture
def front(served: Served, stub_url: str, certificate, tmp_path: Path):
    def start(**how):
        return nginx(
            tmp_path,
            port=served.port,
            gateway=served.gateway.host,
            backend=stub_url.removeprefix("http://"),
            certificate=certificate,
            **how,
        )

    return start


def test_nginx_that_is_configured_well_passes(front, served: Served, certificate):
    with front():
        results = try_on(served.url, "t9", dossiers=[READ, OTHER], closed=[CLOSED], ca=certificate[0])
    assert failed(results) == {}
    passed = {name for name, result in results.items() if result.verdict is Verdict.PASSED}
    assert {"strict-transport", "old-tls", "in-clear", "cookie-flags", "absent-dossiers"} <= passed


@pytest.mark.parametrize(("how", "found"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_front_is_found(front, served: Served, certificate, how, found):
    with front(**how):
        results = try_on(served.url, "t9", dossiers=[READ, OTHER], closed=[CLOSED], ca=certificate[0])
    found, others = found - {...}, ... in found
    assert found <= set(failed(results))
    assert others or found == set(failed(results)), "what has nothing to do with the mistake is found too"
