"""The story of a request: identify, parse, authorise, fetch, redact, record, answer."""
