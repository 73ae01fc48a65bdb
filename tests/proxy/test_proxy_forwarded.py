"""The client's address: the peer's own, unless a proxy of ours is the peer and says another one in good order."""

import pytest

from gateway.proxy.forwarded import MOST_PROXIES, Forwarded

PROXIES = ["10.0.0.0/8", "192.0.2.7", "2001:db8:f::/48"]
PROXY, CLIENT = "10.0.0.5", "203.0.113.9"


def client(peer, forwarded=None):
    environ = {"REMOTE_ADDR": peer, "HTTP_FORWARDED": "for=198.51.100.1", "HTTP_X_REAL_IP": "198.51.100.1"}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    return Forwarded(PROXIES).client(environ)


@pytest.mark.parametrize("forwarded", [CLIENT, f"{CLIENT}, {PROXY}", "10.0.0.1", "garbage", "", None])
@pytest.mark.parametrize("peer", ["203.0.113.200", "192.0.2.8", "2001:db8:e::1", "::1", "", "unix"])
def test_a_peer_that_is_no_proxy_of_ours_is_believed_nothing(peer, forwarded):
    assert client(peer, forwarded) == peer


@pytest.mark.parametrize("peer", [PROXY, "192.0.2.7", "2001:db8:f::1", f"::ffff:{PROXY}"])
def test_a_proxy_of_ours_is_believed(peer):
    assert client(peer, CLIENT) == CLIENT


@pytest.mark.parametrize(
    ("forwarded", "found"),
    [
        (CLIENT, CLIENT),
        (f"198.51.100.1, {CLIENT}", CLIENT),
        (f"garbage, 10.0.0.1, {CLIENT}, 192.0.2.7,\t10.9.9.9", CLIENT),
        (f"{CLIENT},10.0.0.1", CLIENT),
        ("2001:DB8:0:0::9", "2001:db8::9"),
        (f"::ffff:{CLIENT}", CLIENT),
        (f"{CLIENT}, ::ffff:10.0.0.1", CLIENT),
        (f"{CLIENT}:4711", CLIENT),
        (f"198.51.100.1, {CLIENT}:4711, 10.0.0.1:80", CLIENT),
        ("[2001:db8::9]", "2001:db8::9"),
        ("[2001:db8::9]:443", "2001:db8::9"),
        (f"[::ffff:{CLIENT}]:443", CLIENT),
        ("2001:db8::9:443", "2001:db8::9:443"),
    ],
)
def test_the_last_entry_that_is_not_a_proxy_of_ours_is_the_client(forwarded, found):
    assert client(PROXY, forwarded) == found


@pytest.mark.parametrize(
    "forwarded",
    [
        None,
        "",
        ",",
        "10.0.0.1, 10.0.0.2",
        f"{CLIENT},",
        f"{CLIENT}, ",
        f"{CLIENT}, unknown",
        f"{CLIENT}, _hidden",
        f"{CLIENT}:",
        f"{CLIENT}:http",
        f"{CLIENT}:471100",
        f"{CLIENT}:4711:4711",
        f"[{CLIENT}]",
        f"[{CLIENT}]:4711",
        "[2001:db8::9",
        "2001:db8::9]:4711",
        "[2001:db8::9]4711",
        "[2001:db8::9]:",
        "[2001:db8::9%eth0]:4711",
        "[]:4711",
        f"{CLIENT}:٤٧١١",
        "2001:db8::9%eth0",
        "203.0.113.09",
        "203.0.113",
        "3405803785",
        f'"{CLIENT}"',
        f"for={CLIENT}",
        f"{CLIENT} {CLIENT}",
        f"{CLIENT}\x00",
        "２０３.0.113.9",
        "<script>",
    ],
)
def test_what_is_missing_or_not_understood_leaves_the_proxy_itself(forwarded):
    assert client(PROXY, forwarded) == PROXY


def test_no_more_entries_are_looked_at_than_there_can_be_proxies():
    assert client(PROXY, ", ".join([CLIENT, *["10.0.0.1"] * (MOST_PROXIES - 1)])) == CLIENT
    assert client(PROXY, ", ".join([CLIENT, *["10.0.0.1"] * MOST_PROXIES])) == PROXY


def test_what_was_said_before_is_remembered_for_its_peer_alone_and_no_long_text_is():
    forwarded = Forwarded(PROXIES)
    for _ in range(3):
        for peer, header, found in (
            (PROXY, CLIENT, CLIENT),
            ("192.0.2.8", CLIENT, "192.0.2.8"),
            (PROXY, "198.51.100.4", "198.51.100.4"),
            (PROXY, "x" * 5000 + f", {CLIENT}", CLIENT),
        ):
            assert forwarded.client({"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": header}) == found
    remembered = forwarded._remembered.cache_info()
    assert (remembered.hits, remembered.currsize) == (6, 3)
    assert remembered.currsize < remembered.maxsize
