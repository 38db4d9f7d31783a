"""The study's memory, FOLDER/study.sqlite: what is compared, who takes part, what they are shown, and every answer.

An answer is on disk when `give` returns. A later answer to the same question replaces it in the table `answers`; the
table `history` keeps both. What each participant is shown is written down when they join, so that the answers can be
read without this program.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from likeness.errors import BadInput, Exhausted, Refused
from likeness.study import design
from likeness.study.codewords import normal, suggested
from likeness.study.scales import HIGHEST, KEYS, LEFT, LOWEST, RATING, RIGHT, VOTE, NoAnswer, questions
from likeness.study.videos import Videos

FILE = "study.sqlite"
VERSION = 2
WAIT_S = 10.0  # for another program that writes
SEEDS = 2**63  # what SQLite's integers hold
FORSAKEN = timedelta(minutes=30)  # who has not answered by then is not expected to
TABLES = """
CREATE TABLE study (seed INTEGER NOT NULL, secret BLOB NOT NULL, begun TEXT NOT NULL);
CREATE TABLE videos (method TEXT NOT NULL, name TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (method, name));
CREATE TABLE participants (
  number INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, joined TEXT NOT NULL, line INTEGER NOT NULL, key TEXT UNIQUE
);
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
    """Somebody who takes part."""

    number: int
    """Counted from 0 as they arrive."""
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

        Raises Refused where it was begun with other videos or another seed, BadInput for a seed that is none.
        """
        if seed is not None and not 0 <= seed < SEEDS:
            raise BadInput(f"--seed {seed}: is none. Seeds go from 0 to {SEEDS - 1}.")
        path = videos.folder / FILE
        with _explaining(path):
            connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
            with _closed_after_errors(connection):
                is_new = _is_empty(connection)
                if not is_new:  # looked at before anything is set: a file of another program stays as it is
                    _must_be_ours(path, connection)
                    _must_be_same(path, connection, videos.fingerprints, seed)
                connection.execute("PRAGMA journal_mode = WAL")  # a report reads while participants answer
                connection.execute("PRAGMA synchronous = FULL")  # an answer outlives a power cut, too
                connection.execute("PRAGMA foreign_keys = ON")
                if is_new:
                    _begin(connection, videos.fingerprints, seed or 0)
                return Answers(videos.folder, connection)

    @staticmethod
    def read(folder: Path) -> Answers:
        """Open a study that has begun, to read it, also while it is served. Raises BadInput where there is none."""
        path = folder / FILE
        if not path.is_file():
            raise BadInput(f"{path}: no such file, so there are no answers. Begin with: likeness study serve {folder}")
        # an archive on a disk that cannot be written has no place for the files by which readers and writers agree
        is_archive = not os.access(folder, os.W_OK) and not path.with_name(f"{FILE}-wal").exists()
        mode = "immutable=1" if is_archive else "mode=ro"
        with _explaining(path):
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=WAIT_S, isolation_level=None, check_same_thread=False
            )
            with _closed_after_errors(connection):
                if _is_empty(connection):
                    raise BadInput(f"{path}: is empty, so there are no answers. Begin with: likeness study serve {folder}")
                _must_be_ours(path, connection)
                return Answers(folder, connection)

    @property
    def path(self) -> Path:
        """The study's file."""
        return self.folder / FILE

    def close(self) -> None:
        """Close the file, once nobody is writing; what it holds is on disk already."""
        with self._lock:
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

    def without(self, codes: Iterable[str]) -> list[Participant]:
        """Everybody but those with these code words. Raises BadInput for a code word that nobody has."""
        people = self.participants()
        for code in codes:
            gone = self.find(code)
            if gone is None:
                raise BadInput(f"--without {code}: nobody in {self.path} has this code word.")
            people = [person for person in people if person != gone]
        return people

    def find(self, code: str) -> Participant | None:
        """Who has this code word. Raises NoAnswer for a text that can be none."""
        rows = self._all("SELECT number, code FROM participants WHERE code = ?", normal(code))
        return Participant(*rows[0]) if rows else None

    def join(self, code: str | None, key: str | None = None) -> Participant:
        """Somebody new, with the code word they chose or, for None, one that is made up; their order is drawn now.

        They get the lowest line of the balanced orders that nobody holds. Whoever asks again by the same `key`, for want of
        a reply, is who they became the first time. Raises NoAnswer for a text that can be no code word, and for one that is
        taken.
        """
        methods, names = self.methods(), self.names()
        with self._changing() as connection:
            known = connection.execute("SELECT number, code FROM participants WHERE key = ?", (key,)).fetchone()
            if known:
                return Participant(*known)
            taken = {row[0] for row in connection.execute("SELECT code FROM participants")}
            chosen = normal(code) if code is not None else next(word for word in iter(suggested, None) if word not in taken)
            if chosen in taken:
                raise NoAnswer("Somebody has this code word already. Choose another one; if it is yours, go on with it.")
            number = len(taken)
            line = _lowest_free(connection)
            connection.execute("INSERT INTO participants VALUES (?, ?, ?, ?, ?)", (number, chosen, _now(), line, key))
            rated = [
                (number, RATING, place, names[video], methods[method], None)
                for place, (method, video) in enumerate(design.ratings(len(methods), len(names), line, self.seed))
            ]
            voted = [
                (number, VOTE, place, names[video], methods[left], methods[right])
                for place, (left, right, video) in enumerate(design.votes(len(methods), len(names), line, self.seed))
            ]
            connection.executemany("INSERT INTO trials VALUES (?, ?, ?, ?, ?, ?)", rated + voted)
        return Participant(number, chosen)

    def trials(self, number: int) -> list[Trial]:
        """What a participant is shown: ratings, then votes, each in its order."""
        found = self._all("SELECT task, place, name, method, against FROM trials WHERE number = ?", number)
        return sorted((Trial(*row) for row in found), key=lambda trial: (trial.task == VOTE, trial.place))

    def give(self, number: int, task: str, place: int, question: str, value: str) -> int | None:
        """Write an answer down; returns how many are still to give, None where it only changed an earlier one.

        Raises NoAnswer for an answer to a question that was not asked, or that is none.
        """
        asked = {(trial.task, trial.place): len(questions(trial.task)) for trial in self.trials(number)}
        if (task, place) not in asked:
            raise NoAnswer("There is no such place in this study.")
        if question not in questions(task):
            raise NoAnswer("There is no such question in this study.")
        if value not in allowed(question):
            raise NoAnswer(f"This is no answer: choose one of {', '.join(allowed(question))}.")
        row = (number, task, place, question, value, _now())
        with self._changing() as connection:
            before = _given(connection, number)
            connection.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)", row)
            connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", row)
            now = _given(connection, number)
        return sum(asked.values()) - now if now > before else None

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


@contextmanager
def _closed_after_errors(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _is_empty(connection: sqlite3.Connection) -> bool:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    return version == 0 and not connection.execute("SELECT 1 FROM sqlite_master").fetchone()


def _given(connection: sqlite3.Connection, number: int) -> int:
    return connection.execute("SELECT count(*) FROM answers WHERE number = ?", (number,)).fetchone()[0]


def _lowest_free(connection: sqlite3.Connection) -> int:
    """The first line of the balanced orders whose holders never answered and are not expected to any more."""
    late = (datetime.now(UTC) - FORSAKEN).isoformat(timespec="milliseconds")
    query = "SELECT line FROM participants WHERE joined > ? OR number IN (SELECT number FROM answers)"
    held = {row[0] for row in connection.execute(query, (late,))}
    return next(line for line in count() if line not in held)


def _begin(connection: sqlite3.Connection, prints: dict[tuple[str, str], str], seed: int) -> None:
    with connection:  # all or nothing, also when it is killed here
        connection.execute("BEGIN IMMEDIATE")
        for statement in TABLES.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("INSERT INTO study VALUES (?, ?, ?)", (seed, secrets.token_bytes(32), _now()))
        connection.executemany("INSERT INTO videos VALUES (?, ?, ?)", [(*key, value) for key, value in prints.items()])


def _must_be_ours(path: Path, connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
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
        kind = getattr(error, "sqlite_errorname", "")
        if kind == "SQLITE_FULL":
            raise Exhausted(f"{path}: the disk is full. Free some space, and do it again.") from error
        if kind.startswith("SQLITE_BUSY"):
            raise BadInput(f"{path}: another program keeps it locked. End that one, and do it again.") from error
        if kind in ("SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_ERROR"):
            raise BadInput(
                f"{path}: damaged, or no study ({error}). Put a copy back, or move it away to begin anew."
            ) from error
        raise BadInput(f"{path}: cannot be used ({error}). Make the folder writable, or copy the study elsewhere.") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
