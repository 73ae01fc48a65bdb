"""An errand to an identity provider comes back once, on whichever machine, whatever its clock says."""

from datetime import timedelta

from gateway.identity.errands import CLOCKS_APART
from gateway.identity.openid_sessions import spend


def test_a_machine_that_is_ahead_forgets_nothing_that_another_still_takes(twin):
    over = int(twin.noon.timestamp()) + 600
    assert spend(twin.store, "a state", expires_at=over, now=twin.noon)
    ahead = twin.noon + timedelta(seconds=600 + CLOCKS_APART - 1)
    assert spend(twin.store, "another", expires_at=over + 600, now=ahead)
    assert not spend(twin.store, "a state", expires_at=over, now=twin.noon + timedelta(seconds=599))
    later = ahead + timedelta(seconds=2)
    assert spend(twin.store, "a third", expires_at=over + 900, now=later)
    assert spend(twin.store, "a state", expires_at=over, now=twin.noon), "it is forgotten when nobody takes it any more"
