"""`python -m gateway.cli`: the same as `cafpro`."""

from gateway.cli.main import main

main(prog_name="cafpro")
