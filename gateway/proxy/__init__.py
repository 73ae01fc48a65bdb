"""The story of a request: identify, parse, authorise, fetch, redact, record, answer."""

import os

# Before libcurl is loaded, which would write the secrets of its encrypted connections there.
os.environ.pop("SSLKEYLOGFILE", None)
