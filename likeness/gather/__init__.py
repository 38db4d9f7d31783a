"""`gather`: videos of many people become a corpus, on all cores or on a cluster.

    sources   which videos there are, and whose
    takes     one video to samples: landmarks, displacement, speech features, sync
    work      a batch of clips to a shard, in a worker

Ray Data (Moritz et al. 2018) hands the batches out and does one again whose worker died. What is done stands in the folder
alone: a run that was killed goes on where it was, and a run with more videos adds them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from likeness.callable_module import CallableModule
from likeness.corpus import FORMAT, VERSION, Corpus, Split, index, read_header, shards, split_of
from likeness.errors import BadInput, LikenessError, MissingAsset, Refused
from likeness.files import lock, unwritable, write_atomically
from likeness.gather.sources import Source, by_place, find, read_speakers
from likeness.gather.takes import RECIPES
from likeness.gather.work import Batch, do, staged
from likeness.prepare.worker import KINDS
from likeness.progress import Progress

__all__ = ["Gathered", "gather"]

SHARD_CLIPS = 64  # most clips in a shard: some 50 MB of ten-second clips
TURNS = 4  # batches a core where there are few clips, so that none waits long for the last
STORE = 80 * 2**20  # bytes of Ray's object store: only lists of paths go through it


@dataclass(frozen=True)
class Gathered:
    """What a run did."""

    corpus: Corpus
    new: int
    """Clips that this run finished, skipped ones included."""
    skipped: int
    """Of those."""
    known: int
    """Clips that were finished before."""
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """For the command line."""
        corpus, speakers = self.corpus, self.corpus.speakers.values()
        hours = {split: round(corpus.hours(split), 3) for split in get_args(Split)}
        return {
            "corpus": str(corpus.folder), "new": self.new, "skipped": self.skipped, "known": self.known,
            "speakers": len(speakers), "clips": sum(s.clips for s in speakers), "samples": sum(s.samples for s in speakers),
            "hours": hours, "why_skipped": str(corpus.folder / "skipped.csv"), "seconds": round(self.seconds, 1),
        }  # fmt: skip

    def __str__(self) -> str:
        held = self.as_json()
        hours = ", ".join(f"{split} {length:.2f} h" for split, length in held["hours"].items())
        return (
            f"{held['samples']} samples of {held['speakers']} people ({hours}); {self.new} clips in {self.seconds:.0f} s, "
            f"{self.skipped} of them skipped ({held['why_skipped']}), {self.known} known before"
        )


def gather(
    videos: Sequence[str | os.PathLike],
    folder: str | os.PathLike,
    *,
    speakers: str | os.PathLike | None = None,
    points: Literal[68, 478] = 478,
    workers: int | None = None,
    ray_address: str | None = None,
    again: bool = False,
    say: Callable[[str], None] | None = None,
    every_s: float = 10.0,
) -> Gathered:
    """Make or add to the corpus in `folder` from videos and folders of videos.

    speakers: table of who is who, see `likeness.gather.sources`. points: landmarks kept a face (68: a seventh of the room).
    workers: processes here, all cores by default. ray_address: a Ray cluster instead ("auto", "host:port"), whose machines
    see videos and folder under the same paths and have likeness installed. again: try once more what was skipped.

    A clip is known by its absolute path. Raises MissingAsset without Ray, BadInput for videos or a folder that cannot be
    used, Refused for a folder that holds something else or a corpus made in another way, Exhausted on a full disk.
    """
    _ray()
    began = time.monotonic()
    folder = Path(folder)
    wanted = {"format": FORMAT, "version": VERSION, "points": points, "recipes": RECIPES}
    _check(folder, wanted)
    sources = sorted(find(videos, read_speakers(speakers) if speakers else by_place), key=lambda source: source.id)
    try:
        for name in ("shards", "staged"):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    with lock(folder / "lock", folder, "run of `likeness corpus`"), Progress(every_s, say) as progress:
        write_atomically(folder / "corpus.json", json.dumps(wanted, indent=1).encode())
        done = {clip["id"]: bool(clip["skipped"]) for clip in index.clips(folder)}
        _tidy(folder, done)
        todo = [source for source in sources if source.id not in done or (again and done[source.id])]
        skipped = 0
        if todo:
            progress.begin("clips", len(todo))
            for batch in _run(folder, todo, points, workers, ray_address):
                skipped += _commit(folder, batch)
                progress.advance("clips", len(batch.sources))
            progress.end("clips")
            _tidy(folder, done)  # what killed workers were writing
        index.make_index(folder)
    return Gathered(Corpus.open(folder), len(todo), skipped, len(sources) - len(todo), time.monotonic() - began)


def _ray() -> Any:
    """The module. Raises MissingAsset where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingAsset(
            f"likeness corpus needs Ray Data ({error}). Install it with: pip install 'likeness[corpus]'. "
            "Reading a corpus and all other commands work without it."
        ) from error
    return ray


def _check(folder: Path, wanted: dict[str, Any]) -> None:
    """Whether a corpus can be made or added to here; changes nothing."""
    if (folder / "corpus.json").is_file():
        held = read_header(folder)
        for what, was, now in [("points", held["points"], wanted["points"])] + [
            (f"recipe of {name}", held["recipes"].get(name), text) for name, text in wanted["recipes"].items()
        ]:
            if was != now:
                raise Refused(f"{folder}: made with {what} {was}, this would be {now}. Choose another folder.")
        return
    try:
        if folder.exists() and any(path.name not in ("shards", "staged", "lock") for path in folder.iterdir()):
            raise Refused(
                f"{folder}: holds other things and is no corpus. Nothing in it was touched; choose a new or an empty folder."
            )
    except NotADirectoryError as error:
        raise BadInput(f"{folder}: a file is in the way. Name a folder for the corpus.") from error
    except OSError as error:
        raise unwritable(folder, error) from error


def _tidy(folder: Path, done: dict[str, bool]) -> None:
    """Take away what a killed run left but finished clips that are in no shard yet."""
    for path in [*(folder / "shards").iterdir(), *(folder / "staged").iterdir()]:
        if path.suffix in (".ready", ".begun", ".partial") or (path.parent.name == "staged" and path.stem in done):
            path.unlink(missing_ok=True)


def batches(sources: Sequence[Source], cores: int) -> list[Batch]:
    """Sources, ordered by id and so mixed, as batches of one split each."""
    size = min(SHARD_CLIPS, max(1, -(-len(sources) // (TURNS * cores))))
    splits: dict[str, list[Source]] = {}
    for source in sources:
        splits.setdefault(split_of(source.speaker), []).append(source)
    found = []
    for split, members in splits.items():
        for i in range(0, len(members), size):
            part = tuple(members[i : i + size])
            name = hashlib.sha256("".join(source.id for source in part).encode()).hexdigest()[:16]
            found.append(Batch(name, split, part))
    return found


def _run(folder: Path, todo: list[Source], points: int, workers: int | None, address: str | None) -> Iterator[Batch]:
    """Every batch when its shard is ready, in the order in which they end. Raises what a worker told."""
    ray = _ray()
    # Ray tells of workers that died on standard output, which is for the answer
    with contextlib.redirect_stdout(sys.stderr), _connected(ray, workers, address):
        cores = int(ray.cluster_resources().get("CPU", 1))
        rows = [{"batch": batch.as_text()} for batch in batches(todo, cores)]
        made = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            do, fn_kwargs={"folder": os.path.abspath(folder), "points": points}, num_cpus=1
        )
        for row in made.iter_rows():
            if row["error"]:
                raise KINDS.get(row["error"], LikenessError)(row["message"])
            yield Batch.of_text(row["batch"])


@contextlib.contextmanager
def _connected(ray: Any, workers: int | None, address: str | None) -> Iterator[None]:
    """Ray on this machine or that of a cluster; one that runs in this process already is used as it is. Raises BadInput."""
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if ray.is_initialized():
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield
        return
    try:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        else:
            ray.init(
                num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="ERROR", object_store_memory=STORE
            )
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        where = f"--ray-address {address}: no Ray answers there" if address else "Ray did not start on this machine"
        raise BadInput(
            f"{where} ({str(error).splitlines()[0]}). Check the address, or leave it out to use this machine."
        ) from error
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield
    finally:
        ray.shutdown()


def _commit(folder: Path, batch: Batch) -> int:
    """Put a finished shard in its place: from now on its clips are done. Returns how many of them gave nothing."""
    clips = shards.read_header(batch.ready(folder))["clips"]
    try:
        os.replace(batch.ready(folder), batch.place(folder))
    except OSError as error:
        raise unwritable(batch.place(folder), error) from error
    for source in batch.sources:
        staged(folder, source.id).unlink(missing_ok=True)
    return sum(bool(clip["skipped"]) for clip in clips)


sys.modules[__name__].__class__ = CallableModule
