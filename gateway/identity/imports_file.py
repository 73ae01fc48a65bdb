"""A CSV file as spreadsheets write it, read once, row by row: UTF-8 with or without a mark, commas or semicolons."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final

from gateway.identity.wrong import unacceptable

_BOM: Final = b"\xef\xbb\xbf"
LONGEST_LINE: Final = 65_536
"""Bytes. No line of ours comes near it; what has none is not a file of ours, and would fill the memory."""


class Unreadable(Exception):
    """The file makes no sense from this line on."""

    def __init__(self, line: int, sentence: str, said: str) -> None:
        """What is wrong, in English and, as in `wrong.py`, in French."""
        super().__init__(sentence)
        self.line, self.sentence = line, unacceptable(sentence, said)


class CsvFile:
    """The rows of a file whose first line names its columns, of which `columns` says which must be there."""

    def __init__(self, file: BinaryIO, columns: Mapping[str, bool]) -> None:
        """Reads the first line. Raises `Unreadable`."""
        self._file, self._read = file, 0
        self._seen = hashlib.sha256()
        try:
            first = self._line().removeprefix(_BOM).decode("utf-8", "surrogateescape")
        except csv.Error as error:
            raise Unreadable(1, f"This is no CSV ({error}).", _NO_CSV) from None
        if not first.strip():
            raise _nameless(columns)
        if "\0" in first or any("\ud800" <= character <= "\udfff" for character in first):
            raise Unreadable(1, "The file must be UTF-8.", "Le fichier doit être en UTF-8.")
        # French spreadsheets write semicolons, because the comma is theirs for decimals.
        self._separator = ";" if first.count(";") > first.count(",") else ","
        try:
            [header] = csv.reader([first], delimiter=self._separator, strict=True)
        except (csv.Error, ValueError):
            raise _nameless(columns) from None
        self.header = [name.strip() for name in header]
        unknown = [name for name in self.header if name not in columns]
        missing = [name for name, needed in columns.items() if needed and name not in self.header]
        if unknown:
            raise Unreadable(
                1,
                f"There is no column {unknown[0]!r}. The columns are {_named(columns)}.",
                f"Une colonne n'est pas attendue. Les colonnes sont : {_named(columns, 'facultative')}.",
            )
        if missing or len(set(self.header)) < len(self.header):
            which = f"The column {missing[0]!r} is missing" if missing else "A column stands there twice"
            said = f"La colonne {missing[0]} manque" if missing else "Une colonne figure deux fois"
            raise Unreadable(
                1,
                f"{which}. The columns are {_named(columns)}.",
                f"{said}. Les colonnes sont : {_named(columns, 'facultative')}.",
            )

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """The line on which each row begins, and its cells. Empty lines are none. Raises `Unreadable`."""
        reader = csv.reader(self._lines(), delimiter=self._separator, strict=True)
        while True:
            begins = reader.line_num + 2
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise Unreadable(begins, f"From here on this is no CSV ({error}).", _NO_CSV) from None
            if cells is None:
                return
            if cells:
                yield begins, cells

    @property
    def bytes_read(self) -> int:
        return self._read

    @property
    def digest(self) -> str:
        """SHA-256 of what was read, in hexadecimal."""
        return self._seen.hexdigest()

    def _lines(self) -> Iterator[str]:
        while line := self._line():
            # What is not UTF-8 becomes half characters, which no cell may hold: the row is named, and the next ones.
            yield line.decode("utf-8", "surrogateescape")

    def _line(self) -> bytes:
        line = self._file.readline(LONGEST_LINE + 1)
        self._read += len(line)
        self._seen.update(line)
        if len(line) > LONGEST_LINE:
            raise csv.Error("a line is longer than 64 KB")
        return line


_NO_CSV: Final = "À partir d'ici, le fichier n'est plus du CSV."


def _nameless(columns: Mapping[str, bool]) -> Unreadable:
    return Unreadable(
        1,
        f"The first line must name the columns: {_named(columns)}.",
        f"La première ligne doit nommer les colonnes : {_named(columns, 'facultative')}.",
    )


def _named(columns: Mapping[str, bool], optional: str = "may be left out") -> str:
    return ", ".join(name if needed else f"{name} ({optional})" for name, needed in columns.items())
