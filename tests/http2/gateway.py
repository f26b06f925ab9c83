"""The gateway's binary with an upstream of its own, and connections to it frame by frame.

The frames are written and read by hyperframe and hpack, which share no code with the gateway's own library.
"""

import http.server
import json
import os
import pathlib
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import hpack
from hyperframe.frame import Frame, SettingsFrame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Longer than any answer takes.
PATIENCE = 10.0

GATEWAY = """
[[listeners]]
name = "public"
address = "127.0.0.1:0"
certificates = [{{ certificate = "../certs/dev.pem", key = "../certs/dev-key.pem" }}]
[upstreams.attributes]
url = "http://127.0.0.1:{port}"
[audit]
file = "../audit.jsonl"
"""

WORKSPACE = """
profile = "intercom-web"
app_ids = ["abc12345"]
upstream = "attributes"
mode = "enforce"
trusted_domains = ["https://app.acme.example"]
missing_origin = "refuse"
[identity]
require = "never"
max_lifetime = "2h"
leeway = "30s"
[[identity.keys]]
id = "web"
algorithm = "HS256"
secret = { env = "TEST_SECRET" }
use = ["jwt"]
[attributes]
plan = { lock = "enforce" }
nickname = { lock = "off" }
"""


class Upstream(http.server.BaseHTTPRequestHandler):
    """Answers everything with a kibibyte and a half, and counts."""

    protocol_version = "HTTP/1.1"
    received = 0

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        Upstream.received += 1
        body = b"x" * 1536
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    # Whoever cannot be accepted at once waits here, rather than for its retry.
    request_queue_size = 128


class Gateway:
    """The running binary."""

    def __init__(self, binary):
        self.directory = tempfile.TemporaryDirectory()
        root = pathlib.Path(self.directory.name)
        upstream = Server(("127.0.0.1", 0), Upstream)
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        (root / "policies/workspaces").mkdir(parents=True)
        (root / "policies/gateway.toml").write_text(GATEWAY.format(port=upstream.server_port))
        (root / "policies/workspaces/acme.toml").write_text(WORKSPACE)
        subprocess.run([binary, "certs", "dev", "--out", root / "certs"], check=True, stdout=subprocess.DEVNULL)
        self.authority = root / "certs/dev-ca.pem"
        secret = "0123456789abcdef0123456789abcdef-http2"
        self.process = subprocess.Popen(
            [binary, "serve", "--log", "json", "--policies", root / "policies"],
            env={**os.environ, "TEST_SECRET": secret},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.port = None
        for line in self.process.stderr:
            fields = json.loads(line).get("fields", {})
            if fields.get("message") == "listening":
                self.port = int(fields["address"].rsplit(":", 1)[1])
            if fields.get("message") == "ready":
                break
        assert self.port, "the gateway does not start"
        # Nobody waits for a full pipe.
        threading.Thread(target=lambda: [None for _ in self.process.stderr], daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.directory.cleanup()

    def is_alive(self):
        return self.process.poll() is None


class Closed(Exception):
    """The gateway closed the connection."""


class Connection:
    """One connection: TLS by ALPN `h2`, every frame ours to choose."""

    def __init__(self, gateway, greet=True, settings=None):
        context = ssl.create_default_context(cafile=gateway.authority)
        context.set_alpn_protocols(["h2"])
        raw = socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(raw, server_hostname="localhost")
        assert self.socket.selected_alpn_protocol() == "h2"
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.buffer = b""
        self.authority = f"localhost:{gateway.port}"
        if greet:
            self.send_bytes(PREFACE + SettingsFrame(0, settings=settings or {}).serialize())
            # Only when our settings are known do they bind (RFC 9113 §6.5.3).
            while True:
                frame = self.read()
                if isinstance(frame, SettingsFrame):
                    if "ACK" in frame.flags:
                        break
                    self.send(SettingsFrame(0, flags=["ACK"]))

    def send_bytes(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass

    def send(self, *frames):
        self.send_bytes(b"".join(frame.serialize() for frame in frames))

    def read(self, patience=PATIENCE):
        """The next frame; `Closed` at the end, `TimeoutError` where none comes."""
        deadline = time.monotonic() + patience
        while True:
            if len(self.buffer) >= 9:
                frame, length = Frame.parse_frame_header(memoryview(self.buffer[:9]))
                if len(self.buffer) >= 9 + length:
                    frame.parse_body(memoryview(self.buffer[9 : 9 + length]))
                    self.buffer = self.buffer[9 + length :]
                    return frame
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                data = self.socket.recv(65536)
            except (TimeoutError, ssl.SSLWantReadError):
                raise TimeoutError from None
            except OSError:
                raise Closed from None
            if not data:
                raise Closed
            self.buffer += data

    def fields(self, more=(), **instead):
        """The head of a good request, changed: `path=None` leaves `:path` out."""
        pseudo = {"method": "POST", "scheme": "https", "authority": self.authority, "path": "/messenger/web/ping"}
        pseudo.update({name: value for name, value in instead.items() if name in pseudo})
        head = [(f":{name}", value) for name, value in pseudo.items() if value is not None]
        plain = [("origin", "https://app.acme.example"), ("content-type", "application/x-www-form-urlencoded")]
        return head + plain + list(more)

    def block(self, fields=None):
        return self.encoder.encode(self.fields() if fields is None else fields)

    def close(self):
        self.socket.close()
