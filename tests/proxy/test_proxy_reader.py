"""What llhttp and we make of a connection's bytes: the same, however they are cut into pieces."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.proxy import reader as reading
from gateway.proxy.failures import MalformedAnswer
from gateway.proxy.reader import CHUNKED, AnswerReader, framing

LIMIT = 4096
UNPARSED = 32


@pytest.fixture(autouse=True, scope="module")
def soon_unparsed():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reading, "LEFT_UNPARSED", UNPARSED)
        yield


def read(whole: bytes, cuts=(), *, ends=False):
    """The reader of one answer, given what has come in pieces as a connection gives them: never more than a body lacks,
    where it is not parsed. And how much of it was given."""
    reader, at = AnswerReader(LIMIT), 0
    edges = [*sorted({cut for cut in cuts if 0 < cut < len(whole)}), len(whole)]
    while at < len(whole) and not reader.complete and reader.failure is None:
        edge = next(edge for edge in edges if edge > at)
        if reader.unparsed:
            edge = min(edge, at + reader.unparsed)
            assert reader.fill(receive(whole[at:edge])) == edge - at
        else:
            reader.feed(memoryview(whole)[at:edge])
        at = edge
    if ends and not reader.complete and reader.failure is None:
        reader.end(in_order=True)
    return reader, at


def receive(piece: bytes):
    """As a socket does that has this and no more."""

    def into(buffer) -> int:
        buffer[: len(piece)] = piece
        return len(piece)

    return into


def told(reader):
    """All that is to be known of it."""
    if reader.failure is not None:
        return "refused"
    if not reader.complete:
        return "unfinished"
    answer = reader.answer()
    return answer.status_code, answer.fields, answer.content


chunks = st.lists(st.binary(min_size=1, max_size=200), max_size=5)
statuses = st.integers(200, 999).filter(lambda status: status not in (204, 304))


@st.composite
def answers(draw):
    """An answer's bytes, its body, and whether it says itself where it ends."""
    end = draw(st.sampled_from([b"\r\n", b"\n"]))
    interim = draw(st.lists(st.sampled_from([b"100 Continue", b"103 Early Hints"]), max_size=2))
    lines = [b"HTTP/1.1 " + line + end + b"X-Interim: 1" + end for line in interim]
    pieces, framed = draw(chunks), draw(st.sampled_from(["length", "chunks", "end"]))
    body = b"".join(pieces)
    head = [b"HTTP/1.1 %d Oui" % draw(statuses), b"X-A: " + draw(st.sampled_from([b"", b"b", "é".encode(), b"a\tb"]))]
    sent = body
    if framed == "length":
        head.append(b"Content-Length: %d" % len(body))
    elif framed == "chunks":
        head.append(b"Transfer-Encoding: chunked")
        sent = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        sent += b"0\r\n" + draw(st.sampled_from([b"", b"X-Trailer: c\r\n"])) + b"\r\n"
    whole = b"".join(line + end for line in lines) + end.join([*head, b"", b""]) + sent
    return whole, body, framed != "end"


@given(answers(), st.lists(st.integers(1, 400), max_size=20))
def test_an_answer_is_the_same_however_it_is_cut(made, cuts):
    whole, body, framed = made
    at_once, _ = read(whole, ends=True)
    in_pieces, _ = read(whole, cuts, ends=True)
    byte_by_byte, _ = read(whole, range(len(whole)), ends=True)
    assert at_once.stays == in_pieces.stays == byte_by_byte.stays == framed
    status, fields, content = told(at_once)
    assert content == body
    assert 200 <= status <= 999
    assert fields[0][0] == "x-a"
    assert not {"x-interim", "x-trailer"} & {name for name, _ in fields}
    assert told(in_pieces) == told(byte_by_byte) == (status, fields, content)


SHORT = (b"HTTP/1.1 200 Oui\r\nContent-Length: 2\r\n\r\nno", b"no", True)


@given(answers(), st.binary(min_size=1, max_size=100), st.lists(st.integers(1, 400), max_size=20))
@example(SHORT, b"\r", [])
@example(SHORT, b"\r\n\n", [])
@example(SHORT, b"\r\nH", [])
@example(SHORT, b"\r\nHTTP/1.1 200 Oui\r\nContent-Length: 2\r\n\r\nno", [])
def test_what_follows_an_answer_is_not_of_it_and_the_connection_serves_no_more(made, surplus, cuts):
    """Blank lines that come with its end are nothing, as to whoever reads HTTP."""
    whole, body, framed = made
    if not framed:
        return
    for reader, taken in (read(whole + surplus), read(whole + surplus, cuts)):
        assert reader.answer().content == body
        behind = surplus[: taken - len(whole)]  # what was not taken is still to be seen by whoever looks
        assert reader.stays == (not behind.strip(b"\r\n"))
        reader.begin()
        if not behind.strip(b"\r\n"):
            reader.feed(memoryview(SHORT[0]))
            assert reader.stays
            assert told(reader) == told(read(SHORT[0])[0])


@given(answers(), st.data())
def test_what_breaks_off_is_never_whole(made, data):
    whole, _, framed = made
    head = whole.index(b"X-A:")
    cut = data.draw(st.integers(1, len(whole) - 1 if framed else head))
    reader, _ = read(whole[:cut], ends=True)
    assert told(reader) == "refused"
    reset = read(whole[:cut])[0]
    reset.end(in_order=False)
    assert told(reset) == "refused"


@given(answers(), answers(), st.lists(st.integers(1, 400), max_size=10))
def test_the_next_answer_has_nothing_of_the_last(first, second, cuts):
    if not first[2]:
        return
    reader, _ = read(first[0], cuts)
    assert told(reader) == told(read(first[0])[0])
    reader.begin()
    for byte in second[0]:
        if reader.unparsed:
            reader.fill(receive(bytes([byte])))
        else:
            reader.feed(memoryview(bytes([byte])))
    if not second[2]:
        reader.end(in_order=True)
    assert told(reader) == told(read(second[0], ends=True)[0])


@given(st.binary(max_size=300), st.lists(st.integers(1, 300), max_size=20))
@example(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nwords", [])
@example(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 900\r\n\r\nwords", [3])
@example(b"HTTP/1.1 000 Oh\r\n\r\n", [])
@example(b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", [])
@example(b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", [])
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 4097\r\n\r\n", [])
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n", [])
def test_whatever_comes_is_an_answer_or_refused_or_unfinished(whole, cuts):
    results = []
    for ways in (cuts, [], range(len(whole))):
        reader, _ = read(whole, ways)
        results.append(told(reader))
        assert results[-1] in ("refused", "unfinished") or 101 <= results[-1][0] <= 999
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize(
    ("whole", "because"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4097\r\n\r\n", "limit"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 4097, "limit"),
        (b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * (reading.LARGEST_HEAD + 1), "limit"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000, "limit"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "not HTTP"),
        (b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "not HTTP"),
        (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "status line"),
        (b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", "status line"),
        (b"HTTP/1.1 200 OK\r\nX-A: \x01\r\nContent-Length: 0\r\n\r\n", "header line"),
    ],
    ids=range(9),
)
def test_what_is_refused_is_told_without_a_word_of_it(whole, because):
    reader, _ = read(whole, range(0, len(whole), 65_536))
    assert isinstance(reader.failure, MalformedAnswer)
    assert because in str(reader.failure)


def test_folded_lines_are_one_field():
    reader, _ = read(b"HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\n\tc\r\nContent-Length: 0\r\n\r\n")
    assert told(reader) == (200, [("x-a", "a b\tc"), ("content-length", "0")], b"")


@pytest.mark.parametrize(
    ("fields", "announced"),
    [
        ([], None),
        ([("content-type", "a")], None),
        ([("content-length", "0")], 0),
        ([("content-length", "007")], 7),
        ([("transfer-encoding", "Chunked")], CHUNKED),
        ([("content-length", "1"), ("content-length", "1")], MalformedAnswer),
        ([("content-length", "1"), ("transfer-encoding", "chunked")], MalformedAnswer),
        ([("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], MalformedAnswer),
        ([("transfer-encoding", "gzip")], MalformedAnswer),
        ([("content-length", "")], MalformedAnswer),
        ([("content-length", "１")], MalformedAnswer),
        ([("content-length", "1" * 5000)], MalformedAnswer),
    ],
    ids=str,
)
def test_how_long_a_body_is(fields, announced):
    if announced is MalformedAnswer:
        with pytest.raises(MalformedAnswer):
            framing(fields)
    else:
        assert framing(fields) == announced
