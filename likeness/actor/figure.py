"""The whole actor as one mesh: assembles face and body once, and poses all of it for a moment of a performance."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Float32, Int32
from numpy import ndarray as Array

from likeness.actor import body, paint, shape, texture
from likeness.actor import face as face_
from likeness.actor.body import Part
from likeness.actor.face import AROUND, LID_AROUND, Face, smoothstep, strip
from likeness.actor.shape import EYE
from likeness.actor.traits import Traits

NECK_PIVOT = np.array([0.0, 0.075, 0.100])
"""The head turns about the top of the spine."""
PART_MATERIAL = {
    "eye_left": paint.EYE,
    "eye_right": paint.EYE,
    "teeth_upper": paint.TEETH,
    "teeth_lower": paint.TEETH,
    "tongue": paint.TONGUE,
    "ear_left": paint.EAR,
    "ear_right": paint.EAR,
    "hair": paint.HAIR,
    "neck": paint.NECK,
    "torso": paint.CLOTH,
}
CAVITY_LOOPS = 5
BACK_OF_MOUTH = np.array([0.0, 0.0720, 0.060])


@dataclass(frozen=True)
class Pose:
    """One moment: everything that moves. Rotations act on design axes about their pivots, then comes the shift
    (metres)."""

    head: Float[Array, "4 4"]
    """Head frame (design axes) to camera axes."""
    torso: Float[Array, "4 4"]
    controls: dict[str, float]
    """The face's CONTROLS, metres."""
    tongue: float
    """0 lying, 1 tip behind the upper teeth."""
    blink: tuple[float, float]
    """Left and right (in the picture) lid, 0 open to 1 shut, on top of what the gaze does."""
    gaze: tuple[float, float]
    """Radians to the right of the picture, and down."""


class Figure:
    """The mesh of one actor with its textures."""

    def __init__(self, traits: Traits, seed: int) -> None:
        self.traits = traits
        self.face: Face = face_.build(traits)
        self.textures = texture.paint_all(traits, self.face, seed)
        self.parts: dict[str, Part] = {
            "eye_left": body.eyeball(-1),
            "eye_right": body.eyeball(1),
            "teeth_upper": body.teeth(True),
            "teeth_lower": body.teeth(False),
            "tongue": body.tongue(),
            "ear_left": body.ear(-1),
            "ear_right": body.ear(1),
            "hair": body.hair(traits, seed),
            "neck": body.neck(traits),
            "torso": body.torso(traits),
        }
        if traits.long_hair:  # hair hangs over the ears
            del self.parts["ear_left"], self.parts["ear_right"]
        self._assemble()

    def _assemble(self) -> None:
        """Concatenate everything: face, cavity, lashes, parts."""
        count = len(self.face.rest)
        triangles, kinds, uv, shade = (
            [self.face.triangles],
            [self._face_materials()],
            [self.face.uv],
            [np.ones(count)],
        )
        shade[0][self.face.groups["lips_back"]] = 0.45
        shade[0][self.face.groups["lips_inner"]] = 0.80
        merge = [np.arange(count)]
        self.slices: dict[str, slice] = {"face": slice(0, count)}

        rows = [self.face.groups["lips_back"]] + [count + AROUND * k + np.arange(AROUND) for k in range(CAVITY_LOOPS)]
        cavity = np.concatenate([strip(a, b) for a, b in pairwise(rows)])
        self._add("cavity", CAVITY_LOOPS * AROUND, cavity, paint.CAVITY, triangles, kinds, merge)
        uv.append(np.random.default_rng(0).random((CAVITY_LOOPS * AROUND, 2)) * 0.02)
        shade.append(np.repeat(np.linspace(0.40, 0.05, CAVITY_LOOPS), AROUND))

        count = self.slices["cavity"].stop
        half = LID_AROUND // 2 + 1
        lashes = []
        for which, eye in enumerate(("eye_left", "eye_right")):
            margin = self.face.groups[eye][np.r_[LID_AROUND // 2 : LID_AROUND, 0]]
            lashes.append(strip(margin, count + which * half + np.arange(half), closed=False))
        self._add("lashes", 2 * half, np.concatenate(lashes), paint.LASH, triangles, kinds, merge)
        uv.append(np.full((2 * half, 2), 0.5))
        shade.append(np.ones(2 * half))

        for name, part in self.parts.items():
            start = sum(len(m) for m in merge)
            self._add(name, len(part.vertices), part.triangles + start, PART_MATERIAL[name], triangles, kinds, merge)
            if part.closed:
                ids = np.arange(len(part.vertices)).reshape(-1, part.columns)
                merge[-1][ids[:, -1]] = start + ids[:, 0]
            uv.append(part.uv)
            shade.append(part.shade)
        faces = np.ascontiguousarray(np.concatenate(triangles), dtype=np.int32)
        material_of = np.concatenate(kinds).astype(np.int32)
        total = sum(len(m) for m in merge)
        of_vertex = np.zeros(total, np.int32)
        of_vertex[faces[::-1].ravel()] = np.repeat(material_of[::-1], 3)  # the first triangle's material wins
        self.surface: Float32[Array, "v 6"] = np.zeros((total, 6), np.float32)
        self.surface[:, 3:5], self.surface[:, 5] = np.concatenate(uv), np.concatenate(shade)
        self.surface[:, 0] = 1.0
        self.scene = paint.Scene(
            faces, material_of, of_vertex, self._sides(faces), np.concatenate(merge).astype(np.int32), self.textures
        )

    def _face_materials(self) -> Int32[Array, " f"]:
        """Skin, but for the inner sides of the lips: what lies within the inner lips is mouth."""
        inner = np.isin(self.face.triangles, self.face.groups["lips_back"]).any(-1)
        return np.where(inner, paint.INNER_LIP, paint.SKIN).astype(np.int32)

    def _sides(self, triangles: Int32[Array, "f 3"]) -> Float32[Array, " f"]:
        """Which sign of area in the picture shows a triangle's outer side, where that is clear at rest; else 0."""
        at = np.zeros((int(triangles.max()) + 1, 3))
        at[self.slices["face"]] = self.face.rest
        axis = at * (1, 1, 1) + 0.0
        inner = np.tile(shape.CENTRE, (len(at), 1))
        for name in ("hair", "neck", "torso"):
            at[self.slices[name]] = axis[self.slices[name]] = self.parts[name].vertices
            if name != "hair":
                inner[self.slices[name]] = self.parts[name].vertices * (0, 1, 0) + (0, 0, 0.098)
        corners = at[triangles]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-15
        out = corners.mean(1) - inner[triangles[:, 0]]
        out /= np.linalg.norm(out, axis=-1, keepdims=True) + 1e-15
        clear = (normal * out).sum(-1)
        # a normal towards the camera (-z) means a negative area with y down
        side = np.where(np.abs(clear) > 0.35, -np.sign(clear), 0.0)
        known = np.zeros(len(at), bool)
        for name in ("face", "neck", "torso") + (() if self.traits.long_hair else ("hair",)):
            known[self.slices[name]] = True
        collar = self.slices["torso"].start
        known[collar : collar + body.COLLAR_ROWS * self.parts["torso"].columns] = False  # its inner side shows behind the neck
        known[: (face_.LIP_RINGS * AROUND + 2 * face_.LID_RINGS * LID_AROUND)] = False  # lips and lids roll and slide
        return np.where(known[triangles].all(-1), side, 0.0).astype(np.float32)

    def _add(self, name: str, count: int, part: Array, kind: int, triangles: list, kinds: list, merge: list) -> None:
        start = sum(len(m) for m in merge)
        self.slices[name] = slice(start, start + count)
        triangles.append(part)
        kinds.append(np.full(len(part), kind))
        merge.append(start + np.arange(count))

    def face_at(self, pose: Pose) -> Float32[Array, "v 3"]:
        """The face's vertices in design axes at one moment."""
        lids = tuple(float(np.clip(b + (1 - b) * lid_follows(pose.gaze[1]), -0.25, 1.0)) for b in pose.blink)
        return self.face.pose(pose.controls, lids)  # type: ignore[arg-type]

    def vertices(self, pose: Pose) -> tuple[Float32[Array, "v 3"], Float32[Array, "v 6"]]:
        """All vertices in camera axes, and their surface (see `paint.paint`)."""
        at = np.empty((len(self.surface), 3), np.float32)
        surface = self.surface.copy()
        face = self.face_at(pose)
        at[self.slices["face"]] = face
        at[self.slices["cavity"]] = self._cavity(face)
        at[self.slices["lashes"]] = self._lashes(face, pose)
        drop = _jaw_motion(pose.controls.get("jaw", 0.0))
        for name, part in self.parts.items():
            where, v = self.slices[name], part.vertices
            if name.startswith("eye"):
                v, surface[where, 5] = self._eyeball(v, name, face, pose)
            elif name == "teeth_lower":
                v = v + drop
            elif name == "tongue":
                front = smoothstep(0.045, 0.012, v[:, 2:])
                v = v + 0.85 * drop + pose.tongue * front * np.array([0, -0.0085 - 0.7 * drop[1], -0.0045])
            at[where] = v
        shown = (at @ pose.head[:3, :3].T + pose.head[:3, 3]).astype(np.float32)
        torso = self.slices["torso"]
        shown[torso] = at[torso] @ pose.torso[:3, :3].T + pose.torso[:3, 3]
        neck = at[self.slices["neck"]]
        share = smoothstep(0.075, 0.185, neck[:, 1:2])
        shown[self.slices["neck"]] += (
            share * (neck @ pose.torso[:3, :3].T + pose.torso[:3, 3] - shown[self.slices["neck"]])
        ).astype(np.float32)
        tangent = self.parts["hair"].tangent
        assert tangent is not None
        surface[self.slices["hair"], :3] = tangent @ pose.head[:3, :3].T
        return shown, surface

    def _cavity(self, face: Array) -> Array:
        rim = face[self.face.groups["lips_back"]]
        centre = rim.mean(0)
        back = BACK_OF_MOUTH + np.array([0, 0.6 * (centre[1] - BACK_OF_MOUTH[1]), 0])
        loops = []
        for k in range(1, CAVITY_LOOPS + 1):
            t = k / CAVITY_LOOPS
            axis = centre + (back - centre) * t
            width = np.array([0.95, 1.0, 1.0]) * (1 - t**3)
            room = np.array([0.0, 0.010, 0.0]) * np.sin(np.pi * min(t, 0.95)) * np.sign(rim[:, 1:2] - centre[1])
            loop = axis + (rim - centre) * width + room
            loop[:, 2] = np.maximum(loop[:, 2], rim[:, 2] + 0.004 * k)
            loops.append(loop)
        return np.concatenate(loops)

    def _lashes(self, face: Array, pose: Pose) -> Array:
        s = np.cos(np.pi * (1 + np.arange(LID_AROUND // 2 + 1) / (LID_AROUND // 2)))  # -1 at the nose, 1 outside
        out = []
        for which, eye in enumerate(("eye_left", "eye_right")):
            margin = face[self.face.groups[eye][np.r_[LID_AROUND // 2 : LID_AROUND, 0]]]
            side = -1 if which == 0 else 1
            shut = pose.blink[which]
            length = ((1.0 - 0.8 * np.abs(s) ** 3) * (0.6 + 0.4 * s))[:, None]  # longest towards the outer corner
            lift = np.array([0.0, -0.0021 + 0.0042 * shut, -0.0022])
            out.append(margin + length * (lift + np.array([0.0010 * side, 0.0, 0.0])))
        return np.concatenate(out)

    def _eyeball(self, v: Array, name: str, face: Array, pose: Pose) -> tuple[Array, Array]:
        side = -1.0 if name == "eye_left" else 1.0
        gx, gy = pose.gaze
        cx, sx, cy, sy = np.cos(gx), np.sin(gx), np.cos(gy), np.sin(gy)
        turn = np.array([[cx, 0, -sx], [0, 1, 0], [sx, 0, cx]]) @ np.array([[1, 0, 0], [0, cy, -sy], [0, sy, cy]])
        v = v @ turn.T + EYE * (side, 1, 1)
        margin = face[self.face.groups[name]]
        upper = margin[LID_AROUND // 2 :]
        order = np.argsort(upper[:, 0])
        lid = np.interp(v[:, 0], upper[order, 0], upper[order, 1])
        shade = 0.48 + 0.52 * smoothstep(-0.0005, 0.0060, v[:, 1] - lid)  # the upper lid's shadow
        corner = smoothstep(0.0165, 0.0105, np.abs(v[:, 0] - side * EYE[0]))
        return v, shade * (0.55 + 0.45 * corner)


def lid_follows(gaze_down: float) -> float:
    """How far the upper lid comes down with the gaze (radians): lids follow the iris."""
    return 0.9 * gaze_down


def _jaw_motion(jaw: float) -> Array:
    """How the lower teeth move: as the middle of the lower lip does."""
    return np.array([0.0, jaw, 0.22 * jaw])
