"""The command line: parses and calls, no logic.

Exit codes: 0 ok, 2 usage, 3 bad input, 4 missing asset, 5 refused, 6 out of disk or memory, 130 interrupted.
"""

from __future__ import annotations

import json as json_format
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional, arg

from likeness.errors import BadInput, LikenessError
from likeness.files import FULL, unwritable

try:
    from likeness.delivery import Delivery
    from likeness.dubbing import Dubbing, Wav2Lip, as_flags
    from likeness.video import FPS
except ImportError as error:  # OpenCV without its system libraries: not even `--help` can be printed without it
    if ".so" not in str(error):
        raise
    print(f"likeness: {error}. On Debian or Ubuntu: apt-get install libgl1 libglib2.0-0 libgomp1", file=sys.stderr)
    sys.exit(4)

app = tyro.extras.SubcommandApp()
study = tyro.extras.SubcommandApp()
Preset = Annotated[Literal["fast", "standard"], arg(help="fast: minutes. standard: more Gaussians, three times the steps.")]
AnyPreset = Annotated[
    Literal["fast", "standard", "paper", "rad"],
    arg(
        help="fast: minutes. standard: more Gaussians, three times the steps. paper: a published method as it was published, "
        "which takes hours. rad: of geneface, its published renderer on RAD-NeRF's kernels, likewise."
    ),
]
Size = Annotated[Literal[256, 512], arg(help="Side of the picture in pixels.")]
Seed = Annotated[int, arg(help="Of every random choice.")]
Person = Annotated[str | None, arg(help="Which person: a number from 1, or x,y in pixels of the video.")]
OwnSound = Annotated[Path | None, arg(help="The recording that belongs to the video, when it has none of its own.")]
Json = Annotated[bool, arg(help="Print one JSON object instead of text.")]
Performance = OmitArgPrefixes[Delivery]


@app.command
def prepare(
    video: Positional[Path],
    clip: Positional[Path],
    size: Annotated[int, arg(help="Side of the clip's square frames in pixels.")] = 512,
    person: Person = None,
    sound: OwnSound = None,
    json: Json = False,
) -> None:
    """Video -> clip folder: landmarks, head pose, parts, background, speech features, and a report on the footage."""
    from likeness.prepare import prepare as run

    began = time.monotonic()
    made = run(video, clip, size=size, person=person, sound=sound, say=_quiet if json else None)
    seen, seconds = int(made.seen.sum()), round(time.monotonic() - began, 1)
    report = clip / "report.html"
    _tell(
        {"clip": str(clip), "frames": len(made), "seen": seen, "report": str(report), "seconds": seconds},
        f"{clip}: {len(made)} frames, {seen} with the face, in {seconds:.0f} s. What is good and bad about it: {report}",
        json,
    )


@app.command
def corpus(
    paths: Annotated[
        Positional[list[Path]], arg(metavar="VIDEOS... CORPUS", help="Videos, folders of videos; last: the corpus.")
    ],
    speakers: Annotated[
        Path | None, arg(help="Table `video,speaker`; default: folder or file name, see docs/corpus.md.")
    ] = None,
    points: Annotated[Literal[68, 478], arg(help="Landmarks kept of each face.")] = 478,
    workers: Annotated[int | None, arg(help="Processes on this machine; default: its cores.")] = None,
    ray_address: Annotated[str | None, arg(help="A Ray cluster instead of this machine: auto or HOST:PORT.")] = None,
    again: Annotated[bool, arg(help="Try once more the videos that were skipped before.")] = False,
    json: Json = False,
) -> None:
    """Videos of many people -> corpus: motion and speech features to learn from, without pictures; goes on when killed."""
    from likeness.gather import gather as run

    if len(paths) < 2:
        raise BadInput("likeness corpus takes VIDEOS... CORPUS: what to read, and last the folder to write.")
    made = run(
        paths[:-1], paths[-1], speakers=speakers, points=points, workers=workers, ray_address=ray_address, again=again,
        say=_quiet if json else None,
    )  # fmt: skip
    _tell(made.as_json(), f"{paths[-1]}: {made}", json)


@app.command
def pretrain(
    what: Annotated[
        Positional[str],
        arg(
            metavar="{geneface,hyperlips,sync}",
            help="Generator of motion; lips for any video; sync expert.",
        ),
    ],
    corpus: Positional[Path],
    out: Positional[Path],
    preset: Annotated[
        Literal["fast", "paper"], arg(help="paper: sizes and schedule as published, for a large corpus.")
    ] = "fast",
    look: Annotated[
        Literal["landmarks", "pixels"],
        arg(help="Of sync: by landmarks, or by pictures, which are cut out of the videos first."),
    ] = "landmarks",
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Corpus -> what is learned once over many people, a file. A run that was cut off goes on; geneface also under torchrun."""
    from likeness.corpus import Corpus

    began = time.monotonic()
    if look == "pixels" and what != "sync":
        raise BadInput(f"--look is for the sync expert; {what} has no choice of it. Leave it out.")
    if what == "sync" and look == "pixels":
        from likeness.album import Album
        from likeness.album.making import RECIPE
        from likeness.nn.sync.pixels.expert import preset as settings
        from likeness.nn.sync.pixels.pretrain import pretrain as run

        held, its = Corpus.open(corpus), settings("small" if preset == "fast" else preset)
        say = _quiet if json else None
        found = run(held, lambda folder: Album.of_corpus(held, folder, say).pages, RECIPE, out, its, seed)
    elif what == "sync":
        from likeness.nn.sync.expert import preset as settings
        from likeness.nn.sync.pretrain import pretrain as run

        found = run(Corpus.open(corpus), out, settings("small" if preset == "fast" else preset), seed)
    else:
        from likeness.methods import pretrain as run_method

        found = run_method(corpus, out, what, preset=preset, seed=seed)
    seconds = round(time.monotonic() - began, 1)
    lines = _figures(found) or ["  none: the corpus has nobody in val to judge by"]
    text = "\n".join([f"{out}: learned in {seconds:.0f} s. Figures of people left out:", *lines])
    if os.environ.get("RANK", "0") == "0":  # of the processes that torchrun started one speaks
        _tell({"out": str(out), "figures": found, "seconds": seconds}, text, json)


@app.command
def train(
    clip: Positional[Path],
    out: Positional[Path],
    method: Annotated[str, arg(help="Or as the first word: likeness train METHOD CLIP/ OUT.portrait.")] = "rigged-gaussians",
    preset: AnyPreset = "fast",
    size: Size = 256,
    seed: Seed = 0,
    start: Annotated[Path | None, arg(help="Portrait to begin from, where the method can (radnerf, geneface).")] = None,
    motion: Annotated[
        Path | None, arg(help="Generator of motion that shall speak for the person, too (likeness pretrain geneface).")
    ] = None,
    postnet: Annotated[bool, arg(help="With --motion: train GeneFace's adversarial post-net, too. Minutes.")] = False,
    json: Json = False,
) -> None:
    """Clip -> portrait file. A run that was cut off goes on where it was."""
    from likeness.methods import train as run

    began = time.monotonic()
    run(clip, out, method, preset=preset, size=size, seed=seed, start=start, motion=motion, postnet=postnet)
    seconds = round(time.monotonic() - began, 1)
    _tell({"portrait": str(out), "seconds": seconds}, f"{out}: trained in {seconds:.0f} s", json)


@app.command
def speak(
    portrait: Positional[Path],
    speech: Positional[Path],
    out: Positional[Path],
    delivery: Performance = Delivery(),
    maps: Annotated[Path | None, arg(help="Folder for videos of depth and attention, where the method knows them.")] = None,
    json: Json = False,
) -> None:
    """Portrait + any sound -> video with sound: .mp4, .webm (keeps transparency), or a folder of PNG."""
    from likeness.methods import load
    from likeness.speak import check
    from likeness.speak import speak as run

    began = time.monotonic()
    check(speech, out, delivery, maps)
    said = run(load(portrait), speech, delivery)
    heard = time.monotonic()
    said.save(out, maps=maps)
    _said(said, out, heard - began, time.monotonic() - heard, json)


@app.command
def animate(
    video: Positional[Path],
    speech: Positional[Path],
    out: Positional[Path],
    work: Annotated[Path | None, arg(help="Where clip and portrait are kept; default: VIDEO.likeness beside OUT.")] = None,
    preset: Preset = "fast",
    size: Size = 256,
    seed: Seed = 0,
    person: Person = None,
    sound: OwnSound = None,
    delivery: Performance = Delivery(),
    json: Json = False,
) -> None:
    """Video of a person + speech -> video of that person saying it: prepare, train and speak in one go."""
    from likeness.animate import animate as run

    began = time.monotonic()
    said = run(
        video, speech, out, work=work, preset=preset, size=size, seed=seed, person=person, sound=sound, delivery=delivery
    )
    _said(said, out, 0.0, time.monotonic() - began, json)


@app.command
def dub(
    paths: Annotated[Positional[tuple[Path, ...]], arg(metavar="VIDEO SPEECH OUT", help="OUT is .mp4, .m4v or .mov.")] = (),
    lips: Annotated[Path | None, arg(help="What makes the lips; default: $LIKENESS_ASSETS/hyperlips/lips.safetensors.")] = None,
    named: OmitArgPrefixes[Wav2Lip] = Wav2Lip(),
    settings: OmitArgPrefixes[Dubbing] = Dubbing(),
    json: Json = False,
) -> None:
    """Any video (or picture) + any speech -> the same video with the lips of that speech, at its own size and rate."""
    from likeness.overdub import run

    began = time.monotonic()
    made = run(paths, named, lips, settings, _quiet if json else None)
    seconds = round(time.monotonic() - began, 1)
    text = f"{made.path}: {made.frames} frames in {seconds:.0f} s; the face is not seen in {made.without_face} of the video's"
    _tell(made.as_json() | {"seconds": seconds}, text, json)


@app.command
def evaluate(
    portrait: Annotated[Positional[Path], arg(help="A portrait; or a finished video of the same frames, whoever made it.")],
    clip: Positional[Path],
    speech: Annotated[tuple[Path, ...], arg(help="Sounds without a reference, a row for each; or give a --pose alone.")] = (),
    delivery: Performance = Delivery(),
    first: Annotated[int | None, arg(help="Frame of the clip that a finished video begins with.")] = None,
    openface: Annotated[Path | None, arg(help="Folder of OpenFace's csv files, real.csv and ROW.csv.")] = None,
    frames: Annotated[Path | None, arg(help="Folder for every row's pictures as PNG.")] = None,
    sheet: Annotated[Path | None, arg(help="Contact sheet; default: PORTRAIT.sheet.png.")] = None,
    json: Json = False,
) -> None:
    """Figures on the clip's held-out tenth, real frames beside drawn ones; or of other speech, or of a finished video."""
    from likeness.evaluate.frames import check_frames, write_frames
    from likeness.evaluate.settings import measure
    from likeness.evaluate.sheet import contact_sheet
    from likeness.evaluate.table import show
    from likeness.files import must_be_writable

    portrait = Path(os.path.abspath(portrait))  # "." has no name
    place = sheet or portrait.with_name(portrait.name + ".sheet.png")
    spoken = bool(speech) or delivery != Delivery()
    if not spoken:
        must_be_writable(place)
    check_frames(frames)
    found = measure(portrait, clip, speech, delivery, first, openface, sheet)
    made: dict[str, str] = {}
    try:  # what was measured is said even where it cannot be shown
        made |= {} if spoken else {"sheet": str(contact_sheet(found, place))}
        made |= {} if frames is None else {"frames_at": str(write_frames(found, frames))}
    finally:
        if json:
            print(json_format.dumps(found.as_json() | made, allow_nan=False))
        else:
            show(found)
            print("\n".join(f"{what}: {where}" for what, where in made.items()))


@app.command
def compare(
    clip: Positional[Path],
    out: Positional[Path],
    methods: Annotated[tuple[str, ...] | None, arg(help="Which; default: all there are.")] = None,
    preset: AnyPreset = "fast",
    size: Size = 256,
    seed: Seed = 0,
    speech: Annotated[tuple[Path, ...], arg(help="Other sounds that all shall say, too.")] = (),
    video: Annotated[
        tuple[str, ...],
        arg(metavar="NAME=FILE [NAME=FILE ...]", help="Other systems' videos of the held-out part, or folders of PNG frames."),
    ] = (),
    motion: Annotated[Path | None, arg(help="Generator of motion that shall speak for the person in every method.")] = None,
    json: Json = False,
) -> None:
    """Several methods on one clip, side by side: trains what is missing, measures all, writes OUT/report.html."""
    from likeness.compare import compare as run
    from likeness.compare import named

    made = run(clip, out, methods, preset=preset, size=size, seed=seed, speech=speech, videos=named(video), motion=motion)
    told = made.as_json() | {"report": str(made.report)}
    _tell(told, f"{made.report}: {len(made.entries)} compared, {len(made.failures)} failed", json)
    made.must_be_whole()


@app.command
def export(
    portrait: Annotated[Positional[Path], arg(help="A portrait; for .onnx lips.safetensors or a portrait of hyperlips.")],
    out: Positional[Path],
    frame: Annotated[int | None, arg(help="Of the portrait's own motion, with its lips; default: the average face.")] = None,
    flat: Annotated[bool, arg(help="Colours that do not change with the view: for walking round the head.")] = False,
    json: Json = False,
) -> None:
    """Portrait -> .ply: the head as splats for 3D viewers. -> .png: a frame beside what it attends to. Lips -> .onnx."""
    from likeness.export import export as run
    from likeness.export import export_maps, export_networks

    if out.suffix.lower() == ".onnx":
        if frame is not None or flat:
            raise BadInput(f"{out}: --frame and --flat are of splats and maps; networks have neither. Leave them out.")
        paths, apart = export_networks(portrait, out)
        text = f"{', '.join(map(str, paths))}: as PyTorch has it to {apart:.1g}"
        _tell({"out": list(map(str, paths)), "apart": apart}, text, json)
        return
    if out.suffix.lower() == ".png":
        names = export_maps(portrait, out, frame=frame or 0)
        _tell({"out": str(out), "maps": names}, f"{out}: {', '.join(names)}", json)
        return
    cloud = run(portrait, out, frame=frame, flat=flat)
    _tell({"out": str(out), "gaussians": len(cloud)}, f"{out}: {len(cloud)} Gaussians", json)


@app.command(name="import")
def import_(
    method: Positional[str],
    checkpoint: Positional[Path],
    out: Annotated[
        Positional[Path | None], arg(help="The portrait file; default: the checkpoint's name, .portrait, here.")
    ] = None,
    clip: Annotated[Path | None, arg(help="Dataset folder that it was trained on, or a clip of the person.")] = None,
    json: Json = False,
) -> None:
    """Checkpoint of a method's original code (radnerf: RAD-NeRF or ER-NeRF, .pth) -> portrait file."""
    from likeness.importing import import_portrait

    began = time.monotonic()
    out = out or Path(checkpoint.stem + ".portrait")
    made = import_portrait(method, checkpoint, out, clip)
    seconds = round(time.monotonic() - began, 1)
    parts = made.as_json()
    text = f"{out}: {parts['layout']} ({parts['weights']}), stage: {parts['stage']}, torso: {parts['torso']}"
    _tell({"portrait": str(out), **parts, "seconds": seconds}, f"{text}; hears {', '.join(parts['features'])}", json)


@app.command
def demo(
    out: Annotated[Path, arg(help="Folder for everything that is made.")] = Path("out"),
    size: Size = 256,
    seconds: Annotated[float, arg(help="Length of the actor's video.")] = 30.0,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """A drawn actor becomes a portrait that says something new: prepare, train, speak and evaluate, in minutes."""
    from likeness.demo import demo as run
    from likeness.evaluate.table import show

    made = run(out, size=size, seconds=seconds, seed=seed)
    if not json:
        show(made.figures)
    spent = ", ".join(f"{name.removesuffix('_s').replace('_', ' ')} {value}" for name, value in made.seconds.items())
    _tell(
        {"out": str(made.video), "sheet": str(made.sheet), "seconds": made.seconds, "figures": made.figures.as_json()},
        f"{made.video}: the actor says something new; {made.sheet}: real frames above drawn ones.\nseconds: {spent}",
        json,
    )


StudyFolder = Annotated[Positional[Path], arg(metavar="FOLDER", help="METHOD/NAME.mp4, the same NAMEs for each METHOD.")]
Without = Annotated[tuple[str, ...], arg(metavar="CODE ...", help="Code words of people to leave out, of a trial run say.")]


@study.command(name="serve")
def study_serve(
    folder: StudyFolder,
    host: Annotated[str, arg(help="Address to listen on; 0.0.0.0 lets others on your network take part.")] = "127.0.0.1",
    port: Annotated[int, arg(help="Keep to one: participants find their way back only there. 0: one that is free.")] = 8311,
    name: Annotated[
        str | None, arg(help="What participants call this machine, where that is not its address: a proxy's name.")
    ] = None,
    seed: Annotated[int | None, arg(help="Of the orders; default: the one that the study has, or 0.")] = None,
    json: Json = False,
) -> None:
    """Show the videos to participants in a browser, and keep their answers in FOLDER/study.sqlite. Ctrl-C ends it."""
    from likeness.study import StudyServer

    with StudyServer(folder, host, port, seed, name, _quiet) as server:
        for note in server.notes:
            _quiet(f"note: {note}")
        if not server.is_private:
            _quiet("note: everybody who reaches this machine can take part, and what is sent is not encrypted")
        methods, names = server.videos.methods, server.videos.names
        _tell(
            {"url": server.url, "methods": methods, "names": names, "answers": str(server.answers.path)},
            f"{server.url}: {len(methods)} methods, {len(names)} videos of each. Ctrl-C ends it; answers are kept.",
            json,
        )
        before = signal.signal(signal.SIGINT, lambda *_: server.end())
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            _quiet(f"ended. What was found: likeness study report {folder}")
        finally:
            signal.signal(signal.SIGINT, before)


@study.command(name="report")
def study_report(
    folder: StudyFolder,
    incomplete: Annotated[bool, arg(help="Count the answers of those who have not finished, too.")] = False,
    without: Without = (),
    against: Annotated[str | None, arg(help="Method that the others are compared to; default: the best of each scale.")] = None,
    json: Json = False,
) -> None:
    """Means with 95 % intervals, agreement, and strengths from the votes; also while the study goes on."""
    from likeness.study import report as run
    from likeness.study.show import show

    found = run(folder, incomplete=incomplete, without=without, against=against)
    if json:
        print(json_format.dumps(found.as_json()))
    else:
        show(found)


@study.command(name="export")
def study_export(folder: StudyFolder, out: Positional[Path], without: Without = (), json: Json = False) -> None:
    """Every answer as a row of a .csv file."""
    from likeness.study import export as run

    rows = run(folder, out, without=without)
    _tell({"out": str(out), "rows": rows}, f"{out}: {rows} answers", json)


app.command(study, name="study", help="A user study: blinded videos of several methods, rated and compared in a browser.")


def _said(said: Any, out: Path, hearing_s: float, drawing_s: float, json: bool) -> None:
    _tell(
        {
            "out": str(out),
            "frames": len(said),
            "voice": said.voice,
            "hearing_s": round(hearing_s, 2),
            "drawing_s": round(drawing_s, 2),
        },
        f"{out}: {len(said)} frames, {len(said) / FPS:.1f} s, in {hearing_s + drawing_s:.1f} s (voice: {said.voice})",
        json,
    )


def _figures(found: dict[str, Any], name: str = "") -> list[str]:
    """A line for each group of numbers, under the names that lead to it."""
    numbers = {key: value for key, value in found.items() if not isinstance(value, dict)}
    own = ", ".join(f"{key} {value if isinstance(value, int) else f'{value:.4g}'}" for key, value in numbers.items())
    lines = [f"  {name}: {own}" if name else f"  {own}"] if own else []
    for key, value in found.items():
        lines += _figures(value, f"{name} {key}".strip()) if isinstance(value, dict) else []
    return lines


def _tell(values: dict[str, Any], text: str, json: bool) -> None:
    print(json_format.dumps(values) if json else text, flush=True)  # who waits for the address of a study reads a pipe


def _quiet(line: str) -> None:
    print(line, file=sys.stderr)


def main() -> None:
    """Entry point of `likeness`."""
    sys.exit(run(sys.argv[1:]))


def run(words: list[str]) -> int:
    """Run a command line and return its exit code."""
    if len(words) > 1 and words[0] == "train" and not words[1].startswith("-"):
        from likeness.methods import names

        if words[1].replace("-", "_") in names():  # `train METHOD CLIP OUT`
            words = ["train", *words[2:], "--method", words[1]]
    if words[:1] == ["dub"]:
        words = as_flags(words)
    try:
        app.cli(args=words, prog="likeness", description="A video of one person becomes a portrait that says anything.")
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 2
    except (KeyboardInterrupt, SystemError) as error:
        if isinstance(error, SystemError) and not isinstance(error.__cause__, KeyboardInterrupt):
            raise  # Ctrl-C within a Numba kernel comes as a SystemError that it caused
        print("likeness: interrupted; what was finished is kept, run it again to go on", file=sys.stderr)
        return 130
    except LikenessError as error:
        print(f"likeness: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        full = error.errno in FULL
        where = error.filename or f"a file in the result's folder or in {tempfile.gettempdir()} (TMPDIR names another)"
        text = unwritable(str(where), error) if full else f"{where}: {error.strerror or error}."
        print(f"likeness: {text}", file=sys.stderr)
        return 6 if full else 3
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "allocate memory" not in str(error):  # how torch says it
            raise
        print("likeness: out of memory. Close other programs, or use a smaller --size.", file=sys.stderr)
        return 6
    return 0
