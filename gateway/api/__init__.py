"""The gateway's own JSON addresses, under `/-/`."""
