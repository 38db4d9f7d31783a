"""The stages of training: motion from the rig, the face, the inside of the mouth, and both together."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from likeness.camera import Camera
from likeness.clip import PARTS, Index
from likeness.methods.talking_gaussian.config import Config
from likeness.methods.talking_gaussian.growth import WIDE_PX, Growth, Rule, grow
from likeness.methods.talking_gaussian.head import Head, Moved, Places
from likeness.methods.talking_gaussian.lesson import Lesson, beside, of_face, on_green, screened
from likeness.methods.talking_gaussian.motion import CODE
from likeness.methods.talking_gaussian.optimiser import Teacher
from likeness.methods.talking_gaussian.seed import Seed
from likeness.nn.pictures import Picture
from likeness.rig import LIP_COEFFICIENTS

LOG_EVERY = 50
DISTIL_POINTS, DISTIL_FRAMES, DISTIL_RATE = 3000, 4, 2.0
DEGREE_EVERY = 1000  # steps of the published schedule after which colours get another degree
PUBLISHED = 50000
MOUTH_MARGIN = 16  # pixels round the lip box, at 256²
TILE = 16
FACE_PATCHES, LIP_PATCHES = (64, 96), (32, 42)
COLORS = ("base", "views")


def distil(head: Head, seeds: tuple[Seed, Seed], lesson: Lesson) -> None:
    """Teach the motion fields what the rig does to the Gaussians where they start: no picture is needed for that.

    Trained from pictures and sound alone they learn hardly any motion in minutes.
    """
    run, config = lesson.run, lesson.config
    teacher = Teacher(head, _names(head, "face_motion", "mouth_motion", "code", "mouth_code"), config, DISTIL_RATE)
    teacher.restore(head, run.resumed)
    fields = [(head.face, seeds[0])] + ([(head.mouth, seeds[1])] if head.mouth is not None else [])
    for step in run.steps("distil", config.distil_steps):
        rng = run.generator(step)
        teacher.at(step / config.distil_steps)
        frames = rng.choice(lesson.frames, DISTIL_FRAMES)
        rows = lesson.rig.clip(lesson.cond[torch.from_numpy(frames)])
        some = [torch.from_numpy(rng.integers(0, len(field), DISTIL_POINTS)) for field, _ in fields]
        wanted = [seed.some(pick).displacement(lesson.rig, rows) for (_, seed), pick in zip(fields, some)]
        places = head.places(*some)
        loss = torch.zeros(())
        for i, t in enumerate(frames):
            moved = head.move(places, lesson.code(head, t, rows[i]), rows[i, LIP_COEFFICIENTS:])
            for offsets, target in zip(moved, wanted):
                assert offsets is not None
                loss = loss + (offsets.xyz - target[i]).square().sum(1).mean() / DISTIL_FRAMES
            still = sum((x.square().mean() for x in (moved.face.quats, moved.face.scale) if x is not None), torch.zeros(()))
            loss = loss + 1e-4 * still
        loss.backward()
        teacher.step()
        if step % LOG_EVERY == 0:
            run.log(error_mm=100 * loss.detach().sqrt())
        run.keep(lambda: head.named() | teacher.named())
    run.finish(head.named())


def train_face(head: Head, lesson: Lesson) -> None:
    """The face before a green screen: still at first, then moving."""
    run, config = lesson.run, lesson.config
    static, steps = config.face_static_steps, config.face_static_steps + config.face_steps
    teacher = Teacher(head, _names(head, "face", "face_motion", "code"), config, extent=lesson.extent)
    teacher.restore(head, run.resumed)
    growth = Growth.restored(run.resumed, len(head.face))
    polish = steps - int(config.polish[0] * steps)
    for step in run.steps("face", steps):
        rng = run.generator(step)
        share, moving = step / steps, step >= static
        teacher.at(share)
        losses: dict[str, Tensor] = {}
        count = config.batch if moving else 1
        places = head.places() if moving else None
        hair_apart = moving and step % config.hair_apart and step < 0.92 * steps
        drawings = []
        for t in rng.choice(lesson.curriculum.face(step, share, not moving), count):
            picture = lesson.pictures[t]
            pose = lesson.clip.motion.pose[t]
            moved = head.move(places, *lesson.driven(head, t, rng)) if places is not None else None
            drawn = head.face(moved.face if moved else None, pose, picture.camera, _bases(share))
            drawn.means2d.retain_grad()
            drawings.append((drawn, picture))
            kept = of_face(picture, head.mouth is None)
            real, seen = screened(picture.image, kept), on_green(drawn.image, drawn.alpha)
            if hair_apart:
                bald = picture.parts != PARTS["hair"]
                real, seen = screened(real, bald), screened(seen, bald)
            parts = lesson.structure(seen, real, picture.weight if config.lip_weight > 1 else None)
            if moved is not None and places is not None:
                inside, outside = (1 - drawn.alpha) * kept, drawn.alpha * ~kept
                parts["alpha"] = config.alpha_weight * (inside.mean() + outside.mean())
                parts["motion"] = config.motion_weight * sum(
                    (x.abs().mean() for x in moved.face if x is not None), torch.zeros(())
                )
                if step % config.attention_every == 0:
                    parts["attention"] = _attention_loss(head, lesson, places, moved, pose, picture, t)
            if step >= polish:
                parts["perceptual"] = lesson.perceptual(seen, real, FACE_PATCHES, rng)
            for key, value in parts.items():
                losses[key] = losses.get(key, 0) + value / count
        total = sum(losses.values(), start=torch.zeros(()))
        total.backward()
        for drawn, picture in drawings:
            factor = count * config.size / 2 * picture.head.numel() / config.size**2
            growth.watch(drawn.means2d.grad, drawn.radii, factor)
        teacher.step()
        if _grows(step, steps, config, config.grow_until[0]):
            growth = _grow(head, "face", teacher, growth, lesson, share, rng, moving)
        if step % LOG_EVERY == 0:
            run.log(loss=total.detach(), gaussians=len(head.face), **{k: v.detach() for k, v in losses.items()})
        run.keep(
            lambda: head.named() | teacher.named() | growth.state(),
            lambda: beside(real, seen),
        )
    run.finish(head.named())


def train_mouth(head: Head, lesson: Lesson) -> None:
    """The inside of the mouth before a green screen, in the square round the lips."""
    assert head.mouth is not None and head.mouth_motion is not None
    run, config = lesson.run, lesson.config
    static, steps = config.mouth_static_steps, config.mouth_static_steps + config.mouth_steps
    # The face's code of speech stays as it is: the face, which is settled, moves by it.
    teacher = Teacher(head, _names(head, "mouth", "mouth_motion", "mouth_code"), config, extent=lesson.extent)
    teacher.restore(head, run.resumed)
    growth = Growth.restored(run.resumed, len(head.mouth))
    polish = steps - int(config.polish[1] * steps)
    for step in run.steps("mouth", steps):
        rng = run.generator(step)
        share, moving, late = step / steps, step >= static, step >= polish
        teacher.at(share, COLORS if late and config.polish_paints else None)
        t = int(rng.choice(lesson.curriculum.mouth(step, share, not moving)))
        picture = lesson.pictures[t]
        box = lesson.box(picture, t)
        window, camera = _round(box, MOUTH_MARGIN * config.size // 256, picture)
        moved = None
        if moving:
            code, upper = lesson.driven(head, t, rng)
            with torch.no_grad():
                face = head.face_motion(head.face_motion.place(head.face.xyz), code[:CODE], upper) if config.hook else None
            moved = head.mouth_motion(head.mouth_motion.place(head.mouth.xyz.detach()), code[-CODE:], face)
        drawn = head.mouth(moved, lesson.clip.motion.pose[t], camera, _bases(share))
        drawn.means2d.retain_grad()
        inside, box = (picture.parts == PARTS["mouth"])[window], box[window]
        real = torch.where(inside[..., None], picture.image[window], 0.0) if late else screened(picture.image[window], inside)
        seen = drawn.image if late else on_green(drawn.image, drawn.alpha)
        # What the lips will cover is nobody's business here.
        seen = torch.where((box & ~inside)[..., None], real, seen)
        parts = lesson.structure(seen, real)
        if moving:
            parts["alpha"] = config.alpha_weight * (((1 - drawn.alpha) * inside).mean() + (drawn.alpha * ~box).mean())
        if late:
            parts["perceptual"] = lesson.perceptual(seen, real, LIP_PATCHES, rng)
        total = sum(parts.values(), start=torch.zeros(()))
        total.backward()
        growth.watch(drawn.means2d.grad, drawn.radii, config.size / 2 * real[..., 0].numel() / config.size**2)
        teacher.step()
        if _grows(step, steps, config, config.grow_until[1]):
            growth = _grow(head, "mouth", teacher, growth, lesson, share, rng, moving)
        if step % LOG_EVERY == 0:
            run.log(loss=total.detach(), gaussians=len(head.mouth), **{k: v.detach() for k, v in parts.items()})
        run.keep(
            lambda: head.named() | teacher.named() | growth.state(),
            lambda: beside(real, seen),
        )
    run.finish(head.named())


def fuse(head: Head, lesson: Lesson) -> None:
    """Both branches over the real torso and background: colours and the face's opacity, or everything."""
    run, config = lesson.run, lesson.config
    names = _names(head, "face", "mouth", "face_motion", "mouth_motion", "code", "mouth_code")
    if not config.fusion_moves:
        names = [f"{b}.{n}" for b in ("face", "mouth") for n in COLORS if getattr(head, b) is not None] + ["face.opacity"]
    teacher = Teacher(head, names, config, config.fusion_rate if config.fusion_moves else 1.0, lesson.extent)
    teacher.restore(head, run.resumed)
    for step in run.steps("fusion", config.fusion_steps):
        rng = run.generator(step)
        teacher.at(step / config.fusion_steps)
        losses: dict[str, Tensor] = {}
        with torch.set_grad_enabled(config.fusion_moves):
            places = head.places()
        for t in rng.choice(lesson.frames, config.batch):
            picture = lesson.pictures[t]
            with torch.set_grad_enabled(config.fusion_moves):
                moved = head.move(places, *lesson.driven(head, t, rng))
            image, alpha = head.draw(moved, lesson.clip.motion.pose[t], picture.camera)
            seen = image + (1 - alpha[..., None]) * picture.behind
            parts = lesson.structure(seen, picture.image, picture.weight if config.lip_weight > 1 else None)
            if config.fusion_moves:
                parts["alpha"] = config.alpha_weight * (alpha - picture.head).abs().mean()
            if step >= config.fusion_steps // 2:
                parts["perceptual"] = lesson.perceptual(seen, picture.image, LIP_PATCHES, rng)
            for key, value in parts.items():
                losses[key] = losses.get(key, 0) + value / config.batch
        total = sum(losses.values(), start=torch.zeros(()))
        total.backward()
        teacher.step()
        if step % LOG_EVERY == 0:
            run.log(loss=total.detach(), **{k: v.detach() for k, v in losses.items()})
        run.keep(lambda: head.named() | teacher.named(), lambda: beside(picture.image, seen))
    run.finish(head.named())


def _names(head: Head, *branches: str) -> list[str]:
    return [name for name, _ in head.named_parameters() if name.split(".")[0] in branches]


def _bases(share: float) -> int:
    """Colours depend on the view by degree 0 at first, then 1, then 2."""
    return (min(int(share * PUBLISHED / DEGREE_EVERY), 2) + 1) ** 2


def _attention_loss(
    head: Head, lesson: Lesson, places: Places, moved: Moved, pose: Tensor, picture: Picture, t: Index
) -> Tensor:
    """Upper-face values should not count at the lips, and nothing at the hair."""
    maps = head.attention(places, moved, pose, picture.camera)
    lips, hair = lesson.box(picture, t), picture.parts == PARTS["hair"]
    loss = maps[..., 1][lips].mean() if lips.any() else maps.new_zeros(())
    if hair.any():
        loss = loss + maps[hair].mean(0).sum()
    return lesson.config.attention_weight * lesson.config.attention_every * loss


def _grows(step: int, steps: int, config: Config, until: float) -> bool:
    start = min(500, steps // 10)
    return start <= step <= until * steps and step % config.grow_every == 0


def _grow(
    head: Head,
    branch: str,
    teacher: Teacher,
    growth: Growth,
    lesson: Lesson,
    share: float,
    rng: np.random.Generator,
    too_large: bool,
) -> Growth:
    config = lesson.config
    first, last = config.faint
    rule = Rule(
        threshold=config.grow_at * (0.4 if branch == "mouth" else 1.0),
        faint=first + (last - first) * min(share / config.grow_until[branch == "mouth"], 1.0),
        extent=lesson.extent,
        most=config.most,
        too_large=too_large and config.placement == "random",
        wide_px=WIDE_PX * config.size / 256,
    )
    prefix = f"{branch}."
    moments = teacher.moments()
    own = {k.removeprefix(prefix): v for k, v in moments.items() if k.startswith(prefix)}
    field, moved, growth = grow(getattr(head, branch), own, growth, rule, rng)
    setattr(head, branch, field)
    rest = {k: v for k, v in moments.items() if not k.startswith(prefix)}
    teacher.adopt(head, rest | {f"{prefix}{k}": v for k, v in moved.items()})
    return growth


def _round(box: Tensor, margin: int, picture: Picture) -> tuple[tuple[slice, slice], Camera]:
    """The window of a crop round a box, with a margin, in whole tiles, and its camera."""
    rows, columns = box.any(1).nonzero()[:, 0], box.any(0).nonzero()[:, 0]
    edges = []
    for line, limit in ((rows, box.shape[0]), (columns, box.shape[1])):
        start, stop = (int(line[0]) - margin, int(line[-1]) + 1 + margin) if len(line) else (0, limit)
        length = min(-(-max(stop - start, 32) // TILE) * TILE, limit // TILE * TILE)
        start = max(0, min(start, limit - length))
        edges.append(slice(start, start + length))
    y, x = edges
    return (y, x), picture.camera.cropped(x.start, y.start, x.stop - x.start, y.stop - y.start)
