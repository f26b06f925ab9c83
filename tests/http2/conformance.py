"""HTTP/2 conformance (RFC 9113, RFC 7541): each case sends what the RFC speaks of and says which answers it allows.

    tests/http2/run BINARY

The cases follow the sections of the RFCs, as h2spec's do, which is not in any registry that this project builds from.
"""

import struct
import subprocess
import sys

from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from gateway import PREFACE, Closed, Connection, Gateway

NO_ERROR, PROTOCOL, INTERNAL, FLOW, _, STREAM_CLOSED, SIZE, REFUSED, CANCEL, COMPRESSION, _, CALM = range(12)
BODY = b"app_id=abc12345&user_data=%7B%7D"
# Fewer cases mean that somebody took some away.
CASES_MIN = 149

cases = []


def case(section, says):
    """One case: its section, and what it says."""

    def add(function):
        cases.append((section, says, function))
        return function

    return add


def raw(kind, flags, stream, payload=b"", length=None):
    """A frame that no library would write."""
    length = len(payload) if length is None else length
    return struct.pack(">I", length)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def headers(c, stream=1, end_stream=True, end_headers=True, fields=None, block=None, **more):
    flags = [flag for flag, on in (("END_STREAM", end_stream), ("END_HEADERS", end_headers)) if on]
    flags += [flag for flag, key in (("PADDED", "pad_length"), ("PRIORITY", "depends_on")) if key in more]
    return HeadersFrame(stream, data=c.block(fields) if block is None else block, flags=flags, **more)


def request(c, stream=1, **more):
    c.send(headers(c, stream, end_stream=False, **more), DataFrame(stream, data=BODY, flags=["END_STREAM"]))


# ---- What is allowed as an answer ----


def connection_error(c, *codes):
    """`GOAWAY` with one of these codes, or an end without words (RFC 9113 §5.4.1)."""
    try:
        while True:
            frame = c.read()
            assert not isinstance(frame, HeadersFrame), "a request was answered"
            if isinstance(frame, GoAwayFrame):
                assert not codes or frame.error_code in codes, f"GOAWAY with {frame.error_code}"
                return
    except Closed:
        return


def stream_error(c, stream, *codes):
    """`RST_STREAM` with one of these codes, or what is an error of the connection (RFC 9113 §5.4)."""
    try:
        while True:
            frame = c.read()
            assert not isinstance(frame, HeadersFrame) or frame.stream_id != stream, "the request was answered"
            if isinstance(frame, RstStreamFrame) and frame.stream_id == stream:
                assert not codes or frame.error_code in codes, f"RST_STREAM with {frame.error_code}"
                return
            if isinstance(frame, GoAwayFrame):
                assert not codes or frame.error_code in codes, f"GOAWAY with {frame.error_code}"
                return
    except Closed:
        return


def refused(c, stream=1):
    """An error of the stream, or a refusal by status: it goes nowhere."""
    try:
        while True:
            frame = c.read()
            if isinstance(frame, HeadersFrame) and frame.stream_id == stream:
                status = dict(c.decoder.decode(frame.data))[":status"]
                assert status.startswith("4"), f"status {status}"
                return
            if isinstance(frame, GoAwayFrame) or isinstance(frame, RstStreamFrame) and frame.stream_id == stream:
                return
    except Closed:
        return


def answered(c, stream=1, status="200"):
    """An answer to its end; gives its bytes."""
    got, size = None, 0
    while True:
        frame = c.read()
        if isinstance(frame, HeadersFrame):
            decoded = dict(c.decoder.decode(frame.data))
            if frame.stream_id == stream:
                got = decoded[":status"]
                assert got == status, f"status {got}"
        if isinstance(frame, DataFrame) and frame.stream_id == stream:
            size += len(frame.data)
        assert not isinstance(frame, GoAwayFrame), f"GOAWAY with {frame.error_code}"
        assert not isinstance(frame, RstStreamFrame) or frame.stream_id != stream or got, "RST_STREAM"
        if getattr(frame, "stream_id", 0) == stream and "END_STREAM" in frame.flags:
            return size


def alive(c, word=b"stilhere"):
    """A ping is answered."""
    c.send(PingFrame(0, opaque_data=word))
    while True:
        frame = c.read()
        assert not isinstance(frame, GoAwayFrame), f"GOAWAY with {frame.error_code}"
        if isinstance(frame, PingFrame) and "ACK" in frame.flags:
            if frame.opaque_data == b"12345678":
                # A case's own.
                continue
            assert frame.opaque_data == word
            return


def one(section, says, send, allowed, *codes):
    """A case of one step: bytes or frames, and what may come."""

    def run(c):
        sent = send(c)
        c.send_bytes(sent) if isinstance(sent, bytes) else c.send(*sent)
        if allowed is stream_error:
            stream_error(c, 1, *codes)
        else:
            allowed(c, *codes)

    case(section, says)(run)


# ---- 3.4: the preface ----


@case("9113 3.4", "the server's preface is SETTINGS, and the first frame")
def _(c, gateway):
    fresh = Connection(gateway, greet=False)
    fresh.send_bytes(PREFACE + SettingsFrame(0).serialize())
    frame = fresh.read()
    assert isinstance(frame, SettingsFrame) and "ACK" not in frame.flags
    fresh.close()


@case("9113 3.4", "an invalid preface ends the connection")
def _(c, gateway):
    for bad in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", PREFACE.replace(b"SM", b"XX") + SettingsFrame(0).serialize()):
        fresh = Connection(gateway, greet=False)
        fresh.send_bytes(bad)
        connection_error(fresh)
        fresh.close()


@case("9113 3.4", "a client's first frame that is not SETTINGS is no disorder that anybody profits from")
def _(c, gateway):
    fresh = Connection(gateway, greet=False)
    fresh.send_bytes(PREFACE + PingFrame(0, opaque_data=b"12345678").serialize())
    # Ends, or goes on: but answers no request before SETTINGS came.
    try:
        while not isinstance(fresh.read(1.0), HeadersFrame):
            pass
        raise AssertionError("a request was answered")
    except (Closed, TimeoutError):
        fresh.close()


# ---- 4.1: the format of frames ----

one("9113 4.1", "a frame of an unknown kind is ignored", lambda c: raw(0xFA, 0, 0, b"12345678"), alive)
one("9113 4.1", "flags that are not defined are ignored", lambda c: raw(6, 0x16, 0, b"12345678"), alive)
one("9113 4.1", "the reserved bit is ignored", lambda c: raw(6, 0, 0x80000000, b"12345678"), alive)
one("9113 4.2", "DATA of the largest size is taken", lambda c: (headers(c, end_stream=False), DataFrame(1, data=BODY + b"&x=" + b"a" * (16384 - len(BODY) - 3), flags=["END_STREAM"])), answered)
one("9113 4.2", "DATA beyond the largest size", lambda c: headers(c, end_stream=False).serialize() + raw(0, 0, 1, b"a" * 16385), stream_error, SIZE)
one("9113 4.2", "HEADERS beyond the largest size", lambda c: raw(1, 4, 1, b"\0\x01x\x7f\xfc\x7e" + b"v" * 16379), connection_error, SIZE)
one("9113 4.2", "SETTINGS beyond the largest size", lambda c: raw(4, 0, 0, b"\0" * 16386), connection_error, SIZE)
one("9113 4.3", "a header block that cannot be decoded", lambda c: raw(1, 5, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff"), connection_error, COMPRESSION, PROTOCOL)
one("9113 4.3", "PRIORITY within a header block", lambda c: headers(c, end_headers=False).serialize() + PriorityFrame(1, stream_weight=255).serialize(), connection_error, PROTOCOL)
one("9113 4.3", "HEADERS of another stream within a header block", lambda c: (headers(c, end_headers=False), headers(c, 3)), connection_error, PROTOCOL)
one("9113 4.3", "PING within a header block", lambda c: (headers(c, end_headers=False), PingFrame(0, opaque_data=b"12345678")), connection_error, PROTOCOL)
one("9113 4.3", "an unknown kind within a header block", lambda c: headers(c, end_headers=False).serialize() + raw(0xFA, 0, 1, b"x"), connection_error, PROTOCOL)

# ---- 5.1: states of streams ----

for kind, name, payload in ((0, "DATA", b"x"), (3, "RST_STREAM", b"\0\0\0\x08"), (8, "WINDOW_UPDATE", b"\0\0\0\x01"), (9, "CONTINUATION", b"")):
    one("9113 5.1", f"idle: {name}", lambda c, kind=kind, payload=payload: raw(kind, 4, 1, payload), connection_error, PROTOCOL, STREAM_CLOSED)
for kind, name, payload in ((0, "DATA", BODY), (1, "HEADERS", None), (9, "CONTINUATION", b"")):
    one(
        "9113 5.1",
        f"half-closed by us: {name}",
        lambda c, kind=kind, payload=payload: headers(c).serialize() + raw(kind, 5, 1, c.block() if payload is None else payload),
        lambda c, *codes: ended_badly(c, codes),
        STREAM_CLOSED,
        PROTOCOL,
    )
for kind, name, payload in ((0, "DATA", BODY), (1, "HEADERS", None), (9, "CONTINUATION", b"")):
    one(
        "9113 5.1",
        f"closed by our RST_STREAM: {name}",
        lambda c, kind=kind, payload=payload: headers(c, end_stream=False).serialize() + raw(3, 0, 1, b"\0\0\0\x08") + raw(kind, 5, 1, c.block() if payload is None else payload),
        lambda c, *codes: ended_badly(c, codes),
        STREAM_CLOSED,
        PROTOCOL,
    )


def ended_badly(c, codes):
    """An error of the stream or the connection; the answer to what came before may stand."""
    try:
        while True:
            frame = c.read()
            if isinstance(frame, (RstStreamFrame, GoAwayFrame)):
                if isinstance(frame, RstStreamFrame) and frame.error_code == NO_ERROR:
                    continue
                assert frame.error_code in codes, f"code {frame.error_code}"
                return
    except Closed:
        return


@case("9113 5.1", "closed by both ends: DATA, HEADERS and CONTINUATION are errors")
def _(c, gateway):
    for kind in (0, 1, 9):
        fresh = Connection(gateway)
        request(fresh)
        answered(fresh)
        fresh.send_bytes(raw(kind, 5, 1, fresh.block() if kind == 1 else b"x"))
        ended_badly(fresh, (STREAM_CLOSED, PROTOCOL))
        fresh.close()


for kind, name, payload in ((2, "PRIORITY", b"\0\0\0\0\x0f"), (3, "RST_STREAM", b"\0\0\0\x08"), (8, "WINDOW_UPDATE", b"\0\0\0\x01")):

    @case("9113 5.1", f"closed: {name} that was under way is no error")
    def _(c, kind=kind, payload=payload):
        request(c)
        answered(c)
        c.send_bytes(raw(kind, 0, 1, payload))
        alive(c)


one("9113 5.1.1", "a stream of an even number", lambda c: (headers(c, 2),), connection_error, PROTOCOL)
one("9113 5.1.1", "a stream of number zero", lambda c: raw(1, 5, 0, c.block()), connection_error, PROTOCOL)


@case("9113 5.1.1", "a stream with a lower number than one before")
def _(c):
    request(c, 5)
    answered(c, 5)
    c.send(headers(c, 3))
    ended_badly(c, (PROTOCOL, STREAM_CLOSED))


@case("9113 5.1.2", "more streams at once than we were told")
def _(c):
    for number in range(101):
        c.send(headers(c, 2 * number + 1, end_stream=False))
    stream_error(c, 201, REFUSED, PROTOCOL)


one("9113 5.3.1", "a stream in HEADERS that depends on itself is no reason to answer or to fail", lambda c: (headers(c, 1, depends_on=1, stream_weight=0),), refused)
one("9113 5.3.1", "a stream in PRIORITY that depends on itself", lambda c: (PriorityFrame(1, depends_on=1, stream_weight=0),), lambda c: ended_or_alive(c))
one("9113 5.4.1", "GOAWAY comes before the end of the connection", lambda c: raw(6, 0, 3, b"12345678"), lambda c: said_goodbye(c))
one("9113 5.5", "an extension's frame within the connection is ignored", lambda c: raw(0x16, 0, 0, b"x" * 8), alive)
one("9113 5.5", "an extension's frame on a stream is ignored", lambda c: (headers(c, end_stream=False),), lambda c: (c.send_bytes(raw(0x16, 0, 1, b"x")), c.send(DataFrame(1, data=BODY, flags=["END_STREAM"])), answered(c)))
one("9113 5.5", "an extension's setting is ignored", lambda c: raw(4, 0, 0, struct.pack(">HI", 0xFFF0, 7)), alive)


def ended_or_alive(c):
    c.send(PingFrame(0, opaque_data=b"12345678"))
    try:
        while True:
            frame = c.read()
            if isinstance(frame, (GoAwayFrame, RstStreamFrame)):
                assert frame.error_code in (NO_ERROR, PROTOCOL), f"code {frame.error_code}"
                return
            if isinstance(frame, PingFrame):
                return
    except Closed:
        return


def said_goodbye(c):
    try:
        while not isinstance(c.read(), GoAwayFrame):
            pass
    except Closed:
        raise AssertionError("no GOAWAY") from None
    try:
        while True:
            c.read()
    except Closed:
        return


# ---- 6: definitions of frames ----

one("9113 6.1", "DATA of stream zero", lambda c: raw(0, 0, 0, b"x"), connection_error, PROTOCOL)
one("9113 6.1", "DATA with padding is taken", lambda c: (headers(c, end_stream=False), DataFrame(1, data=BODY, flags=["END_STREAM", "PADDED"], pad_length=9)), answered)
one("9113 6.1", "DATA with more padding than payload", lambda c: headers(c, end_stream=False).serialize() + raw(0, 0x9, 1, b"\x16" + b"x" * 9), connection_error, PROTOCOL)
one("9113 6.1", "DATA with padding as long as its payload", lambda c: headers(c, end_stream=False).serialize() + raw(0, 0x9, 1, b"\x0a" + b"x" * 9), connection_error, PROTOCOL)
one("9113 6.1", "DATA with padding, and no length of it", lambda c: headers(c, end_stream=False).serialize() + raw(0, 0x9, 1, b""), connection_error, PROTOCOL, SIZE)
one("9113 6.2", "HEADERS without END_HEADERS, then another kind", lambda c: (headers(c, end_headers=False), PriorityFrame(1)), connection_error, PROTOCOL)
one("9113 6.2", "HEADERS of another stream while one is unfinished", lambda c: (headers(c, 1, end_headers=False), headers(c, 3)), connection_error, PROTOCOL)
one("9113 6.2", "HEADERS of stream zero", lambda c: raw(1, 5, 0, c.block()), connection_error, PROTOCOL)
one("9113 6.2", "HEADERS with more padding than payload", lambda c: raw(1, 0xD, 1, b"\xff" + c.block()), connection_error, PROTOCOL)
one("9113 6.2", "HEADERS with padding is taken", lambda c: (headers(c, end_stream=False, pad_length=7), DataFrame(1, data=BODY, flags=["END_STREAM"])), answered)
one("9113 6.2", "HEADERS with a priority is taken", lambda c: (headers(c, end_stream=False, depends_on=0, stream_weight=15), DataFrame(1, data=BODY, flags=["END_STREAM"])), answered)
one("9113 6.2", "HEADERS with a priority, cut short", lambda c: raw(1, 0x25, 1, b"\0\0"), connection_error, PROTOCOL, SIZE)
one("9113 6.3", "PRIORITY of stream zero", lambda c: raw(2, 0, 0, b"\0\0\0\0\x0f"), connection_error, PROTOCOL)
one("9113 6.3", "PRIORITY of a wrong length", lambda c: raw(2, 0, 1, b"\0\0\0\0"), lambda c: ended_badly(c, (SIZE, PROTOCOL)))
one("9113 6.3", "PRIORITY of a stream that is idle is no error", lambda c: raw(2, 0, 9, b"\0\0\0\0\x0f"), alive)
one("9113 6.4", "RST_STREAM of stream zero", lambda c: raw(3, 0, 0, b"\0\0\0\x08"), connection_error, PROTOCOL)
one("9113 6.4", "RST_STREAM of an idle stream", lambda c: raw(3, 0, 1, b"\0\0\0\x08"), connection_error, PROTOCOL)
one("9113 6.4", "RST_STREAM of a wrong length", lambda c: headers(c, end_stream=False).serialize() + raw(3, 0, 1, b"\0\0\0"), connection_error, SIZE, PROTOCOL)
one("9113 6.5", "SETTINGS with ACK and a payload", lambda c: raw(4, 1, 0, b"\0"), connection_error, SIZE, PROTOCOL)
one("9113 6.5", "SETTINGS of a stream", lambda c: raw(4, 0, 1, b""), connection_error, PROTOCOL)
one("9113 6.5", "SETTINGS of a wrong length", lambda c: raw(4, 0, 0, b"\0\0\0"), connection_error, SIZE, PROTOCOL)
for identifier, value, says, codes in (
    (2, 2, "ENABLE_PUSH of two", (PROTOCOL,)),
    (4, 1 << 31, "INITIAL_WINDOW_SIZE beyond all bounds", (FLOW, PROTOCOL)),
    (4, 0xFFFFFFFF, "INITIAL_WINDOW_SIZE of all ones", (FLOW, PROTOCOL)),
    (5, 16383, "MAX_FRAME_SIZE below its least", (PROTOCOL,)),
    (5, 1 << 24, "MAX_FRAME_SIZE beyond its most", (PROTOCOL,)),
    (8, 2, "ENABLE_CONNECT_PROTOCOL of two", (PROTOCOL,)),
):
    one("9113 6.5.2", says, lambda c, identifier=identifier, value=value: raw(4, 0, 0, struct.pack(">HI", identifier, value)), connection_error, *codes)
for identifier, value, says in ((1, 0, "HEADER_TABLE_SIZE of zero"), (1, 1 << 20, "HEADER_TABLE_SIZE of a mebibyte"), (2, 0, "ENABLE_PUSH of zero"), (3, 0, "MAX_CONCURRENT_STREAMS of zero"), (5, 16384, "MAX_FRAME_SIZE at its least"), (5, (1 << 24) - 1, "MAX_FRAME_SIZE at its most"), (6, 100, "MAX_HEADER_LIST_SIZE")):
    one("9113 6.5.2", f"{says} is taken", lambda c, identifier=identifier, value=value: raw(4, 0, 0, struct.pack(">HI", identifier, value)), lambda c: (alive(c), request(c), answered(c)))


@case("9113 6.5.3", "each SETTINGS is acknowledged, in order")
def _(c):
    for _ in range(3):
        c.send(SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 70000}))
    acknowledged = 0
    while acknowledged < 3:
        frame = c.read()
        acknowledged += isinstance(frame, SettingsFrame) and "ACK" in frame.flags


@case("9113 6.5.3", "of two values the last holds")
def _(c):
    c.send_bytes(raw(4, 0, 0, struct.pack(">HIHI", 4, 100, 4, 1)))
    request(c)
    assert first_data(c) == 1


def first_data(c, stream=1):
    while True:
        frame = c.read()
        assert not isinstance(frame, (GoAwayFrame, RstStreamFrame)), "an error"
        if isinstance(frame, DataFrame) and frame.stream_id == stream:
            return len(frame.data)


one("9113 6.6", "PUSH_PROMISE from a client", lambda c: headers(c, end_stream=False).serialize() + raw(5, 4, 1, b"\0\0\0\x02" + c.block()), connection_error, PROTOCOL)
one("9113 6.7", "PING is answered", lambda c: (PingFrame(0, opaque_data=b"abcdefgh"),), lambda c: alive(c, b"abcdefgh"))
one("9113 6.7", "PING with ACK is not answered", lambda c: (PingFrame(0, opaque_data=b"abcdefgh", flags=["ACK"]),), alive)
one("9113 6.7", "PING of a stream", lambda c: raw(6, 0, 1, b"12345678"), connection_error, PROTOCOL)
one("9113 6.7", "PING of a wrong length", lambda c: raw(6, 0, 0, b"123456"), connection_error, SIZE, PROTOCOL)
one("9113 6.8", "GOAWAY of a stream", lambda c: raw(7, 0, 1, b"\0" * 8), connection_error, PROTOCOL)
one("9113 6.8", "GOAWAY that is cut short", lambda c: raw(7, 0, 0, b"\0" * 5), connection_error, PROTOCOL, SIZE)
one("9113 6.9", "WINDOW_UPDATE of zero, connection", lambda c: raw(8, 0, 0, b"\0" * 4), connection_error, PROTOCOL)
one("9113 6.9", "WINDOW_UPDATE of zero, stream", lambda c: headers(c, end_stream=False).serialize() + raw(8, 0, 1, b"\0" * 4), stream_error, PROTOCOL)
one("9113 6.9", "WINDOW_UPDATE of a wrong length", lambda c: raw(8, 0, 0, b"\0" * 3), connection_error, SIZE, PROTOCOL)
one("9113 6.9.1", "a window beyond its bounds, connection", lambda c: raw(8, 0, 0, b"\x7f\xff\xff\xff") * 2, connection_error, FLOW)
one("9113 6.9.1", "a window beyond its bounds, stream", lambda c: headers(c, end_stream=False).serialize() + raw(8, 0, 1, b"\x7f\xff\xff\xff") * 2, stream_error, FLOW)


@case("9113 6.9.1", "no more DATA than the window holds")
def _(c, gateway):
    fresh = Connection(gateway, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 1})
    request(fresh)
    assert first_data(fresh) == 1
    fresh.send(WindowUpdateFrame(1, window_increment=5))
    assert first_data(fresh) == 5
    fresh.close()


@case("9113 6.9.2", "a window that grows by SETTINGS lets go on")
def _(c, gateway):
    fresh = Connection(gateway, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0})
    request(fresh)
    fresh.send(SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 1}))
    assert first_data(fresh) == 1
    fresh.close()


@case("9113 6.9.2", "a window may become negative")
def _(c, gateway):
    fresh = Connection(gateway, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 3})
    request(fresh)
    assert first_data(fresh) == 3
    fresh.send(SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 2}))
    fresh.send(WindowUpdateFrame(1, window_increment=2))
    assert first_data(fresh) == 1
    fresh.close()


@case("9113 6.9.2", "a window that SETTINGS take beyond its bounds")
def _(c, gateway):
    # The answer may be sent whole before the settings are read, and then nothing is wrong.
    for _ in range(10):
        fresh = Connection(gateway, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 1})
        request(fresh)
        first_data(fresh)
        largest = (1 << 31) - 1
        fresh.send(WindowUpdateFrame(1, window_increment=largest), SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: largest}))
        if not ends_whole(fresh):
            return
    raise AssertionError("never an error")


def ends_whole(c):
    """Whether stream 1 ends with its answer, rather than with an error of flow control."""
    try:
        while True:
            frame = c.read()
            if isinstance(frame, (GoAwayFrame, RstStreamFrame)):
                assert frame.error_code == FLOW, f"code {frame.error_code}"
                return False
            if isinstance(frame, DataFrame) and "END_STREAM" in frame.flags:
                return True
    except Closed:
        return False


def parts(c, count):
    """A header block in so many frames, the last with END_HEADERS."""
    block = c.block()
    size = len(block) // count + 1
    pieces = [block[at : at + size] for at in range(0, len(block), size)]
    first, *rest = pieces
    frames = [headers(c, end_stream=False, end_headers=False, block=first)]
    frames += [ContinuationFrame(1, data=piece, flags=["END_HEADERS"] if piece is rest[-1] else []) for piece in rest]
    return frames


for count in (2, 3, 5):
    one("9113 6.10", f"a head in {count} frames is taken", lambda c, count=count: (*parts(c, count), DataFrame(1, data=BODY, flags=["END_STREAM"])), answered)
one("9113 6.10", "CONTINUATION behind another kind", lambda c: (*parts(c, 2)[:1], DataFrame(1, data=b"x"), ContinuationFrame(1, data=b"", flags=["END_HEADERS"])), connection_error, PROTOCOL)
one("9113 6.10", "CONTINUATION of stream zero", lambda c: parts(c, 2)[0].serialize() + raw(9, 4, 0, b""), connection_error, PROTOCOL)
one("9113 6.10", "CONTINUATION of another stream", lambda c: parts(c, 2)[0].serialize() + raw(9, 4, 3, b""), connection_error, PROTOCOL)
one("9113 6.10", "CONTINUATION behind a head that is whole", lambda c: (headers(c, end_stream=False), ContinuationFrame(1, data=b"", flags=["END_HEADERS"])), connection_error, PROTOCOL)
one("9113 6.10", "CONTINUATION behind CONTINUATION with END_HEADERS", lambda c: (*parts(c, 2), ContinuationFrame(1, data=b"", flags=["END_HEADERS"])), connection_error, PROTOCOL)
one("9113 6.10", "CONTINUATION behind DATA", lambda c: (headers(c, end_stream=False), DataFrame(1, data=b"x"), ContinuationFrame(1, data=b"")), connection_error, PROTOCOL)
one("9113 7", "GOAWAY with an unknown code is no disorder", lambda c: raw(7, 0, 0, b"\0\0\0\0\0\0\0\xff"), lambda c: ended_or_alive(c))
one("9113 7", "RST_STREAM with an unknown code", lambda c: headers(c, end_stream=False).serialize() + raw(3, 0, 1, b"\0\0\0\xff"), alive)

# ---- 8: HTTP ----

one("9113 8.1", "a second HEADERS without END_STREAM", lambda c: (headers(c, end_stream=False), headers(c, end_stream=False, block=c.encoder.encode([("x", "y")]))), stream_error, PROTOCOL)
one("9113 8.1", "trailers are taken", lambda c: (headers(c, end_stream=False), DataFrame(1, data=BODY), headers(c, block=c.encoder.encode([("x-trailer", "y")]))), answered)
one("9113 8.1", "pseudo-headers in trailers", lambda c: (headers(c, end_stream=False), DataFrame(1, data=BODY), headers(c, block=c.encoder.encode([(":method", "GET")]))), refused)
for says, more in (
    ("a name in capitals", [("X-Capital", "y")]),
    ("a space in a name", [("x y", "z")]),
    ("a line feed in a value", [("x", "a\nb")]),
    ("NUL in a value", [("x", "a\0b")]),
    ("an unknown pseudo-header", [(":unknown", "y")]),
    ("a pseudo-header of answers", [(":status", "200")]),
    ("connection", [("connection", "keep-alive")]),
    ("keep-alive", [("keep-alive", "5")]),
    ("proxy-connection", [("proxy-connection", "keep-alive")]),
    ("transfer-encoding", [("transfer-encoding", "chunked")]),
    ("upgrade", [("upgrade", "h2c")]),
    ("te other than trailers", [("te", "trailers, deflate")]),
    (":method twice", [(":method", "GET")]),
    (":scheme twice", [(":scheme", "https")]),
    (":path twice", [(":path", "/")]),
    (":authority twice", [(":authority", "localhost")]),
    ("a content-length that is too short", [("content-length", "1")]),
    ("a content-length that is too long", [("content-length", "99")]),
    ("a host that is not :authority", [("host", "other.example")]),
):
    one("9113 8.2, 8.3", says, lambda c, more=more: (headers(c, end_stream=False, fields=c.fields(more)), DataFrame(1, data=BODY, flags=["END_STREAM"])), refused)
for says, instead in (("no :method", {"method": None}), ("no :scheme", {"scheme": None}), ("no :path", {"path": None}), ("an empty :path", {"path": ""}), ("a :path without a slash", {"path": "x"}), ("an :authority with a user", {"authority": "user@localhost"}), ("CONNECT with :path", {"method": "CONNECT"})):
    one("9113 8.3.1, 8.5", says, lambda c, instead=instead: (headers(c, end_stream=False, fields=c.fields(**instead)), DataFrame(1, data=BODY, flags=["END_STREAM"])), refused)
one("9113 8.3", "a pseudo-header behind a header", lambda c: (headers(c, fields=[("x", "y"), *c.fields()]),), refused)
one("9113 8.3", "te: trailers is taken", lambda c: (headers(c, end_stream=False, fields=c.fields([("te", "trailers")])), DataFrame(1, data=BODY, flags=["END_STREAM"])), answered)
one("9113 8.2.3", "cookies in crumbs are taken", lambda c: (headers(c, end_stream=False, fields=c.fields([("cookie", "a=b"), ("cookie", "c=d")])), DataFrame(1, data=BODY, flags=["END_STREAM"])), answered)
one("9113 8.1.1", "DATA in several frames adds up to content-length", lambda c: (headers(c, end_stream=False, fields=c.fields([("content-length", str(len(BODY)))])), DataFrame(1, data=BODY[:9]), DataFrame(1, data=BODY[9:], flags=["END_STREAM"])), answered)


@case("9113 8.1", "many requests at once are each answered whole")
def _(c):
    streams = [2 * number + 1 for number in range(20)]
    for stream in streams:
        request(c, stream)
    sizes = dict.fromkeys(streams, 0)
    open_streams = set(streams)
    while open_streams:
        frame = c.read()
        if isinstance(frame, HeadersFrame):
            assert dict(c.decoder.decode(frame.data))[":status"] == "200"
        if isinstance(frame, DataFrame):
            sizes[frame.stream_id] += len(frame.data)
        if "END_STREAM" in frame.flags:
            open_streams.discard(frame.stream_id)
    assert set(sizes.values()) == {1536}, sizes


# ---- RFC 7541 ----

one("7541 2.3.3", "an index beyond the tables", lambda c: raw(1, 5, 1, b"\xc6"), connection_error, COMPRESSION, PROTOCOL)
one("7541 2.3.3", "a literal with a name beyond the tables", lambda c: raw(1, 5, 1, b"\x7f\x80\x01\x01x"), connection_error, COMPRESSION, PROTOCOL)
one("7541 6.1", "an index of zero", lambda c: raw(1, 5, 1, b"\x80"), connection_error, COMPRESSION, PROTOCOL)
one("7541 4.2", "a change of the table's size at the end of a block", lambda c: raw(1, 5, 1, c.block() + b"\x20"), connection_error, COMPRESSION, PROTOCOL)
one("7541 6.3", "a table larger than we allow", lambda c: raw(1, 5, 1, b"\x3f\xe1\xff\x03" + c.block()), connection_error, COMPRESSION, PROTOCOL)
one("7541 6.3", "a table of zero at the beginning of a block is taken", lambda c: raw(1, 4, 1, b"\x20" + b"".join(plain(c))) + raw(0, 1, 1, BODY), answered)
one("7541 5.1", "an integer without end", lambda c: raw(1, 5, 1, b"\x00\x7f" + b"\xff" * 40), connection_error, COMPRESSION, PROTOCOL)
one("7541 5.2", "padding of a Huffman text longer than seven bits", lambda c: raw(1, 5, 1, b"".join(plain(c)) + b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"), connection_error, COMPRESSION, PROTOCOL)
one("7541 5.2", "padding of a Huffman text with zeros", lambda c: raw(1, 5, 1, b"".join(plain(c)) + b"\x00\x85\xf2\xb2\x4a\x87\xff\xfd\x83\x49\x50\x90"), connection_error, COMPRESSION, PROTOCOL)
one("7541 5.2", "a Huffman text that holds the end of text", lambda c: raw(1, 5, 1, b"".join(plain(c)) + b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f"), connection_error, COMPRESSION, PROTOCOL)
one("7541 5.2", "a text longer than its block", lambda c: raw(1, 5, 1, b"".join(plain(c)) + b"\x00\x01x\x7f\x10abc"), connection_error, COMPRESSION, PROTOCOL)


def plain(c):
    """The head in literals, which no table keeps."""
    for name, value in c.fields():
        yield b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


@case("7541 6.2.1", "the table is kept from head to head")
def _(c):
    for stream in (1, 3, 5):
        request(c, stream)
        answered(c, stream)


@case("7541 4.1", "an entry larger than the table empties it")
def _(c):
    c.send_bytes(raw(1, 4, 1, b"".join(plain(c)) + b"\x40\x01x\x7f\x81\x1f" + b"y" * 4096) + raw(0, 1, 1, BODY))
    answered(c)
    c.send_bytes(raw(1, 5, 3, b"\xbe"))
    connection_error(c, COMPRESSION, PROTOCOL)


def second_implementation(gateway):
    """nghttp2's own client and load, where they are installed."""
    url = f"https://localhost:{gateway.port}/messenger/web/ping"
    head = ["-H", "origin: https://app.acme.example", "-H", "content-type: application/x-www-form-urlencoded"]
    body = f"{gateway.directory.name}/body"
    with open(body, "wb") as file:
        file.write(BODY)
    load = ["h2load", "--requests=500", "--clients=5", "--max-concurrent-streams=20", "--data", body, *head, url]
    printed = subprocess.run(load, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "500 succeeded, 0 failed, 0 errored" in printed, printed
    single = subprocess.run(["nghttp", "--verbose", "--no-verify-peer", "--data", body, *head, url], capture_output=True, text=True, timeout=60, check=True).stdout
    assert ":status: 200" in single and "error_code=NO_ERROR" in single, single


def main():
    failed = 0
    with Gateway(sys.argv[1]) as gateway:
        for section, says, run in cases:
            c = Connection(gateway)
            try:
                run(c, gateway) if "gateway" in run.__code__.co_varnames[: run.__code__.co_argcount] else run(c)
            except Exception as error:
                failed += 1
                print(f"FAILED  {section}: {says}: {type(error).__name__} {error}")
            finally:
                c.close()
            assert gateway.is_alive(), f"{section}: {says}: the gateway is gone"
        second_implementation(gateway)
        c = Connection(gateway)
        request(c)
        answered(c)
    if len(cases) < CASES_MIN:
        failed += 1
        print(f"FAILED  only {len(cases)} cases")
    print(f"HTTP/2: {len(cases) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
