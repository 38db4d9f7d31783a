"""The study's small web server: one page, its videos in ranges of bytes, and answers as JSON."""

from __future__ import annotations

import errno
import json
import math
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from socketserver import TCPServer
from typing import IO, Any
from urllib.parse import urlsplit

from likeness.errors import BadInput, LikenessError
from likeness.files import lock
from likeness.study.answers import Answers, Participant
from likeness.study.blinding import Blinding
from likeness.study.copies import copies
from likeness.study.scales import TASKS, NoAnswer
from likeness.study.videos import Videos

LOCK = ".study.lock"
PIECE = 1 << 16  # bytes that are read of a video at a time
LONGEST_BODY = 4096  # bytes; an answer has about 120
LONGEST_KEY = 64
RATING_S, VOTE_S = 18, 8  # what answering takes after watching, to tell people how long it will be
PATIENCE_S = 10.0  # for an answer that is being written when the server ends
PAGE = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.videos.js": ("page.videos.js", "text/javascript"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; media-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class StudyServer(ThreadingHTTPServer):
    """Serves the study in `folder` until `shutdown`; `port` 0 takes one that is free, `name` is what a proxy calls it.

    Raises BadInput for a folder that holds no study, a seed that is none or an address that cannot be listened on, Refused
    where the study has begun with other videos or another seed, or is being served already.
    """

    daemon_threads = True

    def __init__(
        self,
        folder: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int | None = None,
        name: str | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        if not 0 <= port < 65536:
            raise BadInput(f"--port {port}: is none. Ports go from 1 to 65535; 0 takes one that is free.")
        self.videos, self.say = Videos.open(folder), say
        self.notes = self.videos.notes()
        self._proxy, self._names = (name or "").lower(), {"localhost", host.lower(), (name or "localhost").lower()}
        self._held: IO[str] = lock(folder / LOCK, folder, "server of this study")
        self._joining = threading.Lock()
        self._at_work, self._is_closing, self._work_changed = 0, False, threading.Condition()
        self._is_ended = False
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self.answers = Answers.serve(self.videos, seed)
            try:
                self.blinding = Blinding(self.answers, copies(self.videos))
                self._listen(host, port)
            except BaseException:
                self.answers.close()
                raise
        except BaseException:
            self._held.close()
            raise

    def _listen(self, host: str, port: int) -> None:
        try:
            super().__init__((host, port), Handler)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise BadInput(
                    f"{host} port {port}: another program listens there. Choose another one with --port, and keep to it: "
                    "participants find their way back only at the same address."
                ) from error
            raise BadInput(
                f"{host} port {port}: cannot be listened on ({error.strerror or error}). Choose another --port or --host."
            ) from error

    def server_bind(self) -> None:
        """Bind without asking a name server what this machine is called, which takes seconds where there is none."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the study."""
        host, port = self.server_address[:2]
        shown = str(host) if not ip_address(str(host)).is_unspecified else "127.0.0.1"
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"

    @property
    def is_private(self) -> bool:
        """Whether only this machine reaches it."""
        return ip_address(str(self.server_address[0])).is_loopback

    @property
    def minutes(self) -> int:
        """About how long a participant needs."""
        sources = self.videos.sources
        watched_s = sum(source.duration_s for source in sources.values())
        votes = math.comb(len(self.videos.methods), 2)
        whole = math.ceil((watched_s + RATING_S * len(sources) + votes * (watched_s / len(sources) + VOTE_S)) / 60)
        return whole if whole < 10 else 5 * math.ceil(whole / 5)

    def is_called(self, host: str) -> bool:
        """Whether a Host header means this server. Another site's name that leads here could make its page read ours."""
        try:
            named = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if named in self._names:
            return True
        try:
            ip_address(named)
        except ValueError:
            return False
        return True

    def is_own(self, origin: str, host: str) -> bool:
        """Whether an Origin header is of this server's own page; a proxy may pass on another Host than the browser's."""
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.netloc.lower() == host.lower() or parts.hostname == (self._proxy or None) is not None

    @contextmanager
    def working(self) -> Iterator[bool]:
        """Around whatever uses the study's file; False where that is being closed."""
        with self._work_changed:
            may_begin = not self._is_closing
            self._at_work += may_begin
        try:
            yield may_begin
        finally:
            with self._work_changed:
                self._at_work -= may_begin
                self._work_changed.notify_all()

    def end(self) -> None:
        """Leave `serve_forever` by a KeyboardInterrupt, within half a second. For a signal's handler: what that raises itself
        is lost where Python is just calling back for a weak reference, as it does for every thread that ends."""
        self._is_ended = True

    def service_actions(self) -> None:
        """Between requests."""
        if self._is_ended:
            raise KeyboardInterrupt

    def server_close(self) -> None:
        """Stop listening, let the answers that have arrived be written, and close the study's file."""
        super().server_close()
        with self._work_changed:
            self._is_closing = True
            self._work_changed.wait_for(lambda: self._at_work == 0, PATIENCE_S)
        self.answers.close()
        self._held.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of a video is no error; anything else is shown as Python does."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def join(self, code: str | None, key: str | None = None) -> Participant:
        """Somebody new, or who asked by the same key before."""
        with self._joining:
            participant = self.answers.join(code, key)
            is_new = self.blinding.admit(participant)
        if is_new:
            self.say(f"participant {participant.number + 1} began")
        return participant

    def give(self, participant: Participant, task: str, place: int, question: str, value: str) -> None:
        """Write an answer down, and say so when it was the last one that was missing."""
        if self.answers.give(participant.number, task, place, question, value) == 0:
            self.say(f"participant {participant.number + 1} has answered everything")


class Handler(BaseHTTPRequestHandler):
    """One browser's connection."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "study", ""
    timeout = 60
    server: StudyServer

    def do_GET(self) -> None:
        """The page, its parts, and the videos."""
        if self._is_foreign():
            return
        if self.path in PAGE:
            name, kind = PAGE[self.path]
            content = files("likeness.study").joinpath(name).read_bytes()
            content = content.replace(b"{minutes}", f"{self.server.minutes}".encode())
            self._send(HTTPStatus.OK, content, f"{kind}; charset=utf-8", {"Cache-Control": "no-cache"})
            return
        word = self.path.removeprefix("/video/")
        path = self.server.blinding.path(word) if word != self.path else None  # what is asked for is looked up, never opened
        if path is None:
            self._send(HTTPStatus.NOT_FOUND, b"There is nothing here.\n", "text/plain; charset=utf-8")
        else:
            self._send_video(path)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Begin or go on, and answers; each is replied to with JSON."""
        if self._is_foreign():
            return
        with self.server.working() as may_work:
            if may_work:
                self._act()
            else:
                self._tell(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "The study has been closed: please tell whoever runs it."})

    def _act(self) -> None:
        actions = {"/begin": self._begin, "/continue": self._continue, "/sheet": self._sheet, "/answer": self._answer}
        try:
            body = self._body()
            if self.path not in actions:
                raise NoAnswer("There is nothing here.")
            reply, status = actions[self.path](body), HTTPStatus.OK
        except NoAnswer as error:
            reply, status = {"error": str(error)}, HTTPStatus.BAD_REQUEST
        except LikenessError as error:  # of the study's own file: its message names folders, which are not for participants
            self.server.say(f"an answer was not saved: {error}")
            reply, status = (
                {"error": "The study cannot write it down: please tell whoever runs it."},
                HTTPStatus.INSUFFICIENT_STORAGE,
            )
        self._tell(status, reply)

    def _is_foreign(self) -> bool:
        """Refuse what was not sent to this server, or by another site's page."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if not self.server.is_called(host):
            status, why = HTTPStatus.MISDIRECTED_REQUEST, "The study does not go by this name: --name makes it.\n"
        elif origin is not None and not self.server.is_own(origin, host):
            status, why = HTTPStatus.FORBIDDEN, "This may be asked by the study's own page only.\n"
        else:
            return False
        self.close_connection = True  # what else was sent is not read
        self._send(status, why.encode(), "text/plain; charset=utf-8", {"Connection": "close"})
        return True

    def _begin(self, body: dict[str, Any]) -> dict[str, Any]:
        code, key = body.get("code"), body.get("key")
        if code is not None and not isinstance(code, str):
            raise NoAnswer("A code word is a text.")
        if key is not None and not (isinstance(key, str) and 0 < len(key) <= LONGEST_KEY):
            raise NoAnswer(f"A key is a text of up to {LONGEST_KEY} signs.")
        return self.server.blinding.sheet(self.server.join(code, key))

    def _continue(self, body: dict[str, Any]) -> dict[str, Any]:
        code = body.get("code")
        if not isinstance(code, str):
            raise NoAnswer("A code word is a text.")
        participant = self.server.answers.find(code)
        if participant is None:
            raise NoAnswer("Nobody has begun with this code word. Check how it is written, or begin as somebody new.")
        return self.server.blinding.sheet(participant)

    def _sheet(self, body: dict[str, Any]) -> dict[str, Any]:
        return self.server.blinding.sheet(self._participant(body))

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        participant = self._participant(body)
        task, place, question, value = (body.get(key) for key in ("task", "place", "question", "value"))
        if task not in TASKS or type(place) is not int or not isinstance(question, str) or not isinstance(value, str):
            raise NoAnswer("An answer has a task, a place, a question and a value.")
        self.server.give(participant, task, place, question, value)
        return {"saved": True}

    def _participant(self, body: dict[str, Any]) -> Participant:
        who = body.get("who")
        participant = self.server.blinding.participant(who) if isinstance(who, str) else None
        if participant is None:
            raise NoAnswer("This study does not know you. Begin again with your code word.")
        return participant

    def _body(self) -> dict[str, Any]:
        """The JSON object that was sent. Other kinds are refused: a page of another site cannot send this one unasked."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,9}", length) or int(length) > LONGEST_BODY:
            self.close_connection = True  # what was not read would be taken for the next request
            raise NoAnswer("What was sent has no length, or is too long.")
        content = self.rfile.read(int(length))
        try:
            body = json.loads(content) if self.headers.get_content_type() == "application/json" else None
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise NoAnswer("What was sent is no JSON object.")
        return body

    def _send_video(self, path: Path) -> None:
        try:
            file = open(path, "rb")  # noqa: SIM115 - what follows closes it, and its errors are not this one's
        except OSError as error:
            self.server.say(f"a video was not shown: {path}: {error.strerror}")
            self._send(HTTPStatus.NOT_FOUND, b"There is nothing here.\n", "text/plain; charset=utf-8")
            return
        with file:
            size = file.seek(0, 2)
            wanted = byte_range(self.headers.get("Range"), size)
            kept = {"Accept-Ranges": "bytes", "Cache-Control": "private, max-age=3600"}
            if wanted is None:
                self._head(HTTPStatus.OK, "video/mp4", size, kept)
                wanted = range(size)
            elif not wanted:
                self._send(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", "video/mp4", {"Content-Range": f"bytes */{size}"})
                return
            else:
                kept["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{size}"
                self._head(HTTPStatus.PARTIAL_CONTENT, "video/mp4", len(wanted), kept)
            if self.command != "HEAD":
                file.seek(wanted.start)
                left = len(wanted)
                while left and (piece := file.read(min(PIECE, left))):
                    self.wfile.write(piece)
                    left -= len(piece)

    def _tell(self, status: HTTPStatus, reply: dict[str, Any]) -> None:
        self._send(status, json.dumps(reply).encode(), "application/json", {"Cache-Control": "no-store"})

    def _send(self, status: HTTPStatus, content: bytes, kind: str, more: dict[str, str] | None = None) -> None:
        self._head(status, kind, len(content), more or {})
        if self.command != "HEAD":
            self.wfile.write(content)

    def _head(self, status: HTTPStatus, kind: str, length: int, more: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(length), **more, **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: when somebody watched what is nobody's business."""


def byte_range(header: str | None, size: int) -> range | None:
    """The bytes that a Range header asks for (RFC 9110, 14.2): None is the whole file, an empty range cannot be met.

    Several ranges at once, and units other than bytes, are answered with the whole file, as the RFC allows.
    """
    match = re.fullmatch(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", header or "")
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1 if last else size, size))
