"""Coverage-guided fuzzing of the parsers, each in a process of its own, where atheris instruments the gateway.

    python -m tests.fuzz request|document|policy [libFuzzer's arguments: folders of inputs, -runs=…, -max_total_time=…]
    python -m tests.fuzz all SECONDS

`all` begins with what is kept in `corpus/` and finds new inputs into a folder of its own. An input that breaks a
promise is written into the corpus, where every later run of the tests meets it again.

To keep what was found, the smallest inputs that reach as much:
    python -m tests.fuzz document -merge=1 NEW_FOLDER FOUND_FOLDER tests/fuzz/corpus/document
"""

from __future__ import annotations

import importlib
import sys
import tempfile

from tests.fuzz.harnesses import CORPUS, HARNESSES


def main(name: str, arguments: list[str]) -> None:
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: it has wheels for Linux on Intel, and comes with `pip install -e .[test]`.")
    # What is imported already is not instrumented, and nothing would guide the search.
    assert not [module for module in sys.modules if module.partition(".")[0] == "gateway"]
    with atheris.instrument_imports(include=["gateway"]):
        harness = importlib.import_module(f"tests.fuzz.{name}")
    with tempfile.NamedTemporaryFile("w", suffix=".dict") as dictionary:
        # As libFuzzer reads them; it has read them when it begins.
        for word in harness.words():
            dictionary.write('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n')
        dictionary.flush()
        settings = [
            *(f"-artifact_prefix={CORPUS / name}/broken-", f"-max_len={harness.LARGEST}", f"-dict={dictionary.name}"),
            # Time is asked by the harnesses, of the processor: on a busy machine every input may be slow.
            *("-timeout=600", "-report_slow_units=600", "-rss_limit_mb=2048"),
        ]
        # What libFuzzer runs, by the shell, when it minimises a corpus in a process of its own.
        again = f"{sys.executable} -m tests.fuzz {name}"
        atheris.Setup([again, *settings, *arguments], harness.check)
        atheris.Fuzz()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["all", seconds] if seconds.isdigit():
            from tests.fuzz.campaign import run_all

            ended = run_all(int(seconds), CORPUS)
            for name, (code, said) in ended.items():
                print(f"{name}: {'nothing found' if code == 0 else 'BROKEN'}\n{said}")
            sys.exit(any(code for code, _ in ended.values()))
        case [name, *arguments] if name in HARNESSES:
            main(name, arguments)
        case _:
            sys.exit(f"Name one of {', '.join(HARNESSES)}, or `all` and how many seconds.")
