"""Small studies for tests: videos in which a picture tells its method, and participants who answer."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from likeness.study import StudyServer
from likeness.study.answers import Answers
from likeness.study.scales import BETTER, KEYS, LEFT, RATING, RIGHT
from likeness.video import FPS, Writer
from tests.media import tone

METHODS = ("glyphmorph", "quaverface", "zephyrtalk")
NAMES = ("vexillum", "wrybill")
FRAMES = 15  # 0.6 s


def make(
    folder: Path, methods=METHODS, names=NAMES, size: tuple[int, int] = (160, 160), frames: int = FRAMES, fps: float = FPS
) -> Path:
    """A folder for `likeness study`: each method has its colour, each name its pitch; a white bar grows with time."""
    for i, method in enumerate(methods):
        (folder / method).mkdir(parents=True)
        for j, name in enumerate(names):
            sound = (tone(frames / fps, 48000, 220.0 * (j + 1), 0.2), 48000)
            with Writer(folder / method / f"{name}.mp4", size, fps, sound=sound) as video:
                for t in range(frames):
                    image = np.full((size[1], size[0], 3), (40 + 60 * i % 200, 70, 150 - 40 * i % 150), np.uint8)
                    image[-20:, : size[0] * (t + 1) // frames] = 255
                    video.write(image)
    return folder


@contextlib.contextmanager
def served(folder: Path, **more) -> Iterator[StudyServer]:
    """The study's server in a thread of this process."""
    with StudyServer(folder, **({"say": lambda line: None} | more)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def process(folder: Path, *words: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """`likeness study serve` as a program of its own; its address, and the process."""
    words = words if "--port" in words else ("--port", "0", *words)
    command = [sys.executable, "-c", "from likeness.cli import main; main()", "study", "serve", str(folder), "--json", *words]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        line = running.stdout.readline()  # type: ignore[union-attr]
        assert line, running.communicate()[1]
        yield json.loads(line)["url"], running
    finally:
        running.send_signal(signal.SIGKILL)
        running.communicate()


@dataclass
class Reply:
    """What came back: all of it, as a browser gets it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def everything(self) -> bytes:
        return "\n".join(f"{name}: {value}" for name, value in self.headers.items()).encode() + b"\n" + self.body


@dataclass
class Visitor:
    """A browser without a screen: keeps every reply."""

    url: str
    replies: list[Reply] = field(default_factory=list)
    sheet: dict = field(default_factory=dict)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            reply = Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()
        self.replies.append(reply)
        return reply

    def get(self, path: str, **headers: str) -> Reply:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: object) -> Reply:
        return self.ask("POST", path, json.dumps(body).encode(), Content_Type="application/json")

    def begin(self, code: str | None = None, path: str = "/begin", **more: str) -> dict:
        reply = self.post(path, {"code": code, **more})
        assert reply.status == 200, reply.body
        self.sheet = reply.json
        return self.sheet

    def answer(self, task: str, place: int, question: str, value: str) -> Reply:
        sent = {"who": self.sheet["who"], "task": task, "place": place, "question": question, "value": value}
        return self.post("/answer", sent)


def answer_all(answers: Answers, code: str, rate, prefer) -> None:
    """Somebody takes part: `rate(method, name, question)` from 1 to 5, `prefer(left, right, name)` whether it is the left."""
    person = answers.join(code)
    for trial in answers.trials(person.number):
        if trial.task == RATING:
            for key in KEYS:
                answers.give(person.number, trial.task, trial.place, key, str(rate(trial.method, trial.name, key)))
        else:
            left = prefer(trial.method, trial.against, trial.name)
            answers.give(person.number, trial.task, trial.place, BETTER, LEFT if left else RIGHT)
