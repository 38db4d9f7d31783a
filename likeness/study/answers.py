"""The study's memory, FOLDER/study.sqlite: what is compared, who takes part, what they are shown, and every answer.

An answer is on disk when `give` returns. A later answer to the same question replaces it in the table `answers`; the
table `history` keeps both. What each participant is shown is written down when they join, so that the answers can be
read without this program.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from likeness.errors import BadInput, Exhausted, Refused
from likeness.study import design
from likeness.study.codewords import normal, suggested
from likeness.study.scales import HIGHEST, KEYS, LEFT, LOWEST, RATING, RIGHT, VOTE, NoAnswer, questions
from likeness.study.videos import Videos

FILE = "study.sqlite"
VERSION = 1
TABLES = """
CREATE TABLE study (seed INTEGER NOT NULL, secret BLOB NOT NULL, begun TEXT NOT NULL);
CREATE TABLE videos (method TEXT NOT NULL, name TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (method, name));
CREATE TABLE participants (number INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, joined TEXT NOT NULL);
CREATE TABLE trials (
  number INTEGER NOT NULL REFERENCES participants, task TEXT NOT NULL, place INTEGER NOT NULL,
  name TEXT NOT NULL, method TEXT NOT NULL, against TEXT, PRIMARY KEY (number, task, place)
);
CREATE TABLE answers (
  number INTEGER NOT NULL, task TEXT NOT NULL, place INTEGER NOT NULL, question TEXT NOT NULL, value TEXT NOT NULL,
  at TEXT NOT NULL, PRIMARY KEY (number, task, place, question),
  FOREIGN KEY (number, task, place) REFERENCES trials
);
CREATE TABLE history (
  number INTEGER NOT NULL, task TEXT NOT NULL, place INTEGER NOT NULL, question TEXT NOT NULL, value TEXT NOT NULL,
  at TEXT NOT NULL
);
"""


@dataclass(frozen=True)
class Participant:
    """Somebody who takes part, counted from 0 as they arrive."""

    number: int
    code: str


@dataclass(frozen=True)
class Trial:
    """One thing to answer: a video to rate, or two to choose from."""

    task: str
    place: int
    name: str
    method: str
    """The rated video's; of a vote, the one on the left."""
    against: str | None
    """The one on the right of a vote."""


@dataclass(frozen=True)
class Answer:
    """What a participant said, as it stands now."""

    participant: Participant
    trial: Trial
    question: str
    value: str
    at: str


class Answers:
    """An open study.sqlite; safe to use from several threads."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder, self._connection, self._lock = folder, connection, threading.Lock()
        with self._explained():
            row = connection.execute("SELECT seed, secret FROM study").fetchone()
        self.seed, self.secret = int(row[0]), bytes(row[1])

    @staticmethod
    def serve(videos: Videos, seed: int | None = None) -> Answers:
        """Begin a study of these videos, or go on with the one that is there; `seed` None is the one it has, or 0.

        Raises Refused where it was begun with other videos or another seed.
        """
        path = videos.folder / FILE
        prints = videos.fingerprints()
        with _explaining(path):
            connection = _connect(path)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0 and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                _begin(connection, prints, seed or 0)
            else:
                _must_be_ours(path, version)
                _must_be_same(path, connection, prints, seed)
        return Answers(videos.folder, connection)

    @staticmethod
    def read(folder: Path) -> Answers:
        """Open a study that has begun, also while it is served. Raises BadInput where there is none."""
        path = folder / FILE
        if not path.is_file():
            raise BadInput(f"{path}: no such file, so there are no answers. Begin with: likeness study serve {folder}")
        with _explaining(path):
            connection = _connect(path)
            _must_be_ours(path, connection.execute("PRAGMA user_version").fetchone()[0])
        return Answers(folder, connection)

    @property
    def path(self) -> Path:
        """The study's file."""
        return self.folder / FILE

    def close(self) -> None:
        """Close the file; what it holds is on disk already."""
        self._connection.close()

    def methods(self) -> list[str]:
        """What the study compares, sorted."""
        return [row[0] for row in self._all("SELECT DISTINCT method FROM videos ORDER BY method")]

    def names(self) -> list[str]:
        """The videos of each method, sorted."""
        return [row[0] for row in self._all("SELECT DISTINCT name FROM videos ORDER BY name")]

    def participants(self) -> list[Participant]:
        """Everybody who joined, in that order."""
        return [Participant(*row) for row in self._all("SELECT number, code FROM participants ORDER BY number")]

    def find(self, code: str) -> Participant | None:
        """Who has this code word. Raises NoAnswer for a text that can be none."""
        rows = self._all("SELECT number, code FROM participants WHERE code = ?", normal(code))
        return Participant(*rows[0]) if rows else None

    def join(self, code: str | None) -> Participant:
        """Somebody new, with the code word they chose or, for None, one that is made up; their order is drawn now.

        Raises NoAnswer for a text that can be no code word, and for one that is taken.
        """
        methods, names = self.methods(), self.names()
        with self._changing() as connection:
            taken = {row[0] for row in connection.execute("SELECT code FROM participants")}
            chosen = normal(code) if code is not None else next(word for word in iter(suggested, None) if word not in taken)
            if chosen in taken:
                raise NoAnswer("Somebody has this code word already. Choose another one; if it is yours, go on with it.")
            number = len(taken)
            connection.execute("INSERT INTO participants VALUES (?, ?, ?)", (number, chosen, _now()))
            rated = [
                (number, RATING, place, names[video], methods[method], None)
                for place, (method, video) in enumerate(design.ratings(len(methods), len(names), number, self.seed))
            ]
            voted = [
                (number, VOTE, place, names[video], methods[left], methods[right])
                for place, (left, right, video) in enumerate(design.votes(len(methods), len(names), number, self.seed))
            ]
            connection.executemany("INSERT INTO trials VALUES (?, ?, ?, ?, ?, ?)", rated + voted)
        return Participant(number, chosen)

    def trials(self, number: int) -> list[Trial]:
        """What a participant is shown: ratings, then votes, each in its order."""
        found = self._all("SELECT task, place, name, method, against FROM trials WHERE number = ?", number)
        return sorted((Trial(*row) for row in found), key=lambda trial: (trial.task == VOTE, trial.place))

    def give(self, number: int, task: str, place: int, question: str, value: str) -> None:
        """Write an answer down. Raises NoAnswer for one to a question that was not asked, or that is none."""
        if (task, place) not in {(trial.task, trial.place) for trial in self.trials(number)}:
            raise NoAnswer("There is no such place in this study.")
        if question not in questions(task):
            raise NoAnswer("There is no such question in this study.")
        if value not in allowed(question):
            raise NoAnswer(f"This is no answer: choose one of {', '.join(allowed(question))}.")
        row = (number, task, place, question, value, _now())
        with self._changing() as connection:
            connection.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)", row)
            connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", row)

    def given(self, number: int | None = None) -> list[Answer]:
        """The answers as they stand, of one participant or of all, in the order of the trials."""
        rows = self._all(
            "SELECT number, code, task, place, name, method, against, question, value, at "
            "FROM answers JOIN trials USING (number, task, place) JOIN participants USING (number) "
            "WHERE ?1 IS NULL OR number = ?1 ORDER BY number, task, place, answers.rowid",
            number,
        )
        return [Answer(Participant(*row[:2]), Trial(*row[2:7]), *row[7:]) for row in rows]

    def _all(self, query: str, *values: object) -> list[tuple]:
        with self._lock, self._explained():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, on disk when the block ends."""
        with self._lock, self._explained(), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection

    def _explained(self) -> AbstractContextManager[None]:
        return _explaining(self.path)


def allowed(question: str) -> tuple[str, ...]:
    """The answers that a question has."""
    return tuple(str(value) for value in range(LOWEST, HIGHEST + 1)) if question in KEYS else (LEFT, RIGHT)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")  # a report reads while participants answer
    connection.execute("PRAGMA synchronous = FULL")  # an answer outlives a power cut, too
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _begin(connection: sqlite3.Connection, prints: dict[tuple[str, str], str], seed: int) -> None:
    with connection:  # all or nothing, also when it is killed here
        connection.execute("BEGIN IMMEDIATE")
        for statement in TABLES.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("INSERT INTO study VALUES (?, ?, ?)", (seed, secrets.token_bytes(32), _now()))
        connection.executemany("INSERT INTO videos VALUES (?, ?, ?)", [(*key, value) for key, value in prints.items()])


def _must_be_ours(path: Path, version: int) -> None:
    if version != VERSION:
        raise Refused(f"{path}: made by another version (format {version}, this is {VERSION}). Move it away to begin anew.")


def _must_be_same(path: Path, connection: sqlite3.Connection, prints: dict[tuple[str, str], str], seed: int | None) -> None:
    begun = {(method, name): sha for method, name, sha in connection.execute("SELECT method, name, sha256 FROM videos")}
    for gone, what in (
        (begun.keys() - prints.keys(), "gone"),
        (prints.keys() - begun.keys(), "new"),
        ({key for key in begun.keys() & prints.keys() if begun[key] != prints[key]}, "changed"),
    ):
        if gone:
            listed = ", ".join(f"{method}/{name}.mp4" for method, name in sorted(gone))
            raise Refused(
                f"{path}: this study has begun, and since then {what}: {listed}. Put back what was there, or "
                f"move {FILE} away to begin anew."
            )
    before = connection.execute("SELECT seed FROM study").fetchone()[0]
    if seed is not None and seed != before:
        raise Refused(f"{path}: this study has begun with --seed {before}. Leave --seed out, or move {FILE} away.")


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
            raise Exhausted(f"{path}: the disk is full. Free some space, and do it again.") from error
        kind = getattr(error, "sqlite_errorname", "")
        if kind in ("SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_ERROR"):
            raise BadInput(
                f"{path}: damaged, or no study ({error}). Put a copy back, or move it away to begin anew."
            ) from error
        raise BadInput(f"{path}: cannot be used ({error}). Make the folder writable, or copy the study elsewhere.") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
