"""A proxy in front of an HTTP server that damages, truncates, delays or drops requests and responses."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.servers.mlflow_server import MlflowServer
from tests.servers.object_store import ObjectStore

PASS = "pass"
FORGET = "forget"
"""Report success without forwarding the request to the server."""
DAMAGE_REQUEST, DAMAGE_ANSWER = "damage request", "damage answer"
"""Change one byte."""
TRUNCATE_ANSWER = "truncate answer"
"""Close the connection in the middle of the response."""
OTHER_ETAG = "other etag"
"""Return another ETag, like a server that encrypts objects."""
LOSE_ANSWER = "lose answer"
"""Forward the request, and answer with status 504."""
LATE = "late"
"""Answer with status 504, and forward the request `LATE_S` seconds later."""
AWAY = "away"
"""Answer with status 503 without forwarding the request."""
LATE_S = 1.5
Fault = Callable[[str, str], str]


@contextmanager
def proxy(server: ObjectStore | MlflowServer, fault_of: Fault, host: str = "127.0.0.1") -> Iterator[str]:
    """An endpoint at the address ``host`` that applies ``fault_of(method, path)`` to every request."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fault = fault_of(self.command, self.path)
            if fault == FORGET:
                return self._answer(200, {"ETag": '"0"'}, b"")
            if fault == AWAY:
                return self._answer(503, {}, b"")
            # The connection's next request replaces these attributes before a late request is sent.
            request = (self.command, self.path, self.headers)
            if fault == LATE:
                late.append(threading.Timer(LATE_S, self._ask, [*request, body]))
                late[-1].start()
                return self._answer(504, {}, b"")
            if fault == DAMAGE_REQUEST:
                body = b"\xff" + body[1:]
            try:
                status, headers, content = self._ask(*request, body)
            except OSError:
                return self._answer(502, {}, b"")
            if fault == LOSE_ANSWER:
                return self._answer(504, {}, b"")
            if fault == OTHER_ETAG:
                headers["ETag"] = '"other"'
            if fault == DAMAGE_ANSWER:
                content = bytes([content[0] ^ 1]) + content[1:]
            return self._answer(status, headers, content, cut=fault == TRUNCATE_ANSWER)

        do_PUT = do_GET = do_HEAD = do_DELETE = do_POST = do_PATCH = do  # noqa: N815

        def _ask(self, command: str, path: str, received: Message, body: bytes) -> tuple[int, dict[str, str], bytes]:
            onward = http.client.HTTPConnection(server.host, server.port)
            onward.putrequest(command, path, skip_host=True, skip_accept_encoding=True)
            for name, value in received.items():
                if name.lower() == "host" and isinstance(server, MlflowServer):  # it refuses other names than its own
                    value = f"{server.host}:{server.port}"
                if name.lower() != "expect":
                    onward.putheader(name, value)
            onward.endheaders(body)
            answer = onward.getresponse()
            kept = {"etag": "ETag", "last-modified": "Last-Modified", "content-type": "Content-Type"}
            headers = {kept[n.lower()]: v for n, v in answer.getheaders() if n.lower() in kept}
            content = answer.read()
            headers["Content-Length"] = answer.getheader("Content-Length") or str(len(content))
            onward.close()
            return answer.status, headers, content

        def _answer(self, status: int, headers: dict[str, str], content: bytes, cut: bool = False) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)
            self.close_connection = cut

        def log_message(self, *_: object) -> None:
            pass

    late: list[threading.Timer] = []
    middle = ThreadingHTTPServer((host, 0), Handler)
    thread = threading.Thread(target=middle.serve_forever)
    thread.start()
    try:
        yield f"http://{host}:{middle.server_port}"
    finally:
        for timer in late:
            timer.join()
        middle.shutdown()
        thread.join()
        middle.server_close()
