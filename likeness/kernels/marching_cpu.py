"""Marching rays through an occupancy grid on the CPU (Numba).

In floating point, too, each coordinate along a ray never turns back: products, sums and roundings are monotone. So lattice
points between two that are in the same box of cells are in it as well, and this, rather than a margin, makes skipping
exact: an estimate says how far a skip may go, and its last point's cell, reckoned as any other, proves it.

Rays skip to the box around all occupied cells, whole blocks of rays in loops that LLVM vectorises: most rays miss it. Where
they do not, lattice points get the numbers of their cells in chunks, in another such loop; where steps are much finer than
cells, blocks of empty cells are skipped as well. Each block of rays has room for all samples that it might have, of which the
system lends the memory only where it is written to; a second pass moves them together. Everything is reckoned as the
reference does, to the last bit (`exact`).
"""

import numpy as np
from numba import prange

from likeness.kernels.compiled import compiled, take
from likeness.kernels.marching_reference import FARTHEST, SHORTEST

CHUNK = 64
"""Lattice points that are numbered at a time."""
BLOCK = 8
"""Cells along each side of a block."""
WORTH = 40
"""Lattice points along a block's side from which on looking at blocks is cheaper than numbering all (measured)."""
RAYS = 256
"""Rays that a thread takes at a time."""

ZERO = np.float32(0.0)
ONE = np.float32(1.0)
INFINITY = np.float32(np.inf)
FAR_OFF = np.float32(FARTHEST)
SHORT = np.float32(SHORTEST)

# Planes of a block of rays, RAYS apart: where the lattice begins and its share of a step, the line, the first lattice point
# to look at, the one after the last, how many are in the box; whether START and STOP are in doubt; distances that are looked
# at on the way. The first eight are also the numbers of one `ray`.
BEGIN, JITTER, ORIGIN, DIRECTION, START, STOP, COUNT, DOUBT, DISTANCE, PLANES = 0, 1, 2, 5, 8, 9, 10, 11, 15, 16
# Rows of `frame`: the box's corners, cells per unit; from where to where cells are occupied, in cells, then in the world.
LOW, HIGH, SCALE, FIRST, END, NEAR, FAR = 0, 1, 2, 3, 4, 5, 6


@compiled()
def _merge(row, column, n):
    for i in range(n):
        column[i] |= row[i]


@compiled(parallel=True)
def _survey(occupied):
    """Which blocks of cells have an occupied one (1 or 0)."""
    nx, ny, nz = occupied.shape
    blocks = np.zeros(((nx + BLOCK - 1) // BLOCK, (ny + BLOCK - 1) // BLOCK, (nz + BLOCK - 1) // BLOCK), np.uint8)
    for bx in prange(blocks.shape[0]):
        column = np.empty(nz, np.uint8)
        for by in range(blocks.shape[1]):
            column[:] = 0
            for x in range(bx * BLOCK, min((bx + 1) * BLOCK, nx)):
                for y in range(by * BLOCK, min((by + 1) * BLOCK, ny)):
                    _merge(occupied[x, y], column, nz)
            for z in range(nz):
                blocks[bx, by, z // BLOCK] |= column[z]
    return blocks


@compiled(exact=True)
def _frame(blocks, shape, corners):
    frame = np.empty((7, 3), np.float32)
    for axis in range(3):
        frame[LOW, axis], frame[HIGH, axis] = corners[0, axis], corners[1, axis]
        frame[SCALE, axis] = np.float32(shape[axis]) / (corners[1, axis] - corners[0, axis])
        frame[FIRST, axis], frame[END, axis] = shape[axis], 0
    for x, y, z in np.ndindex(blocks.shape):
        if blocks[x, y, z]:
            for axis, block in enumerate((x, y, z)):
                frame[FIRST, axis] = min(frame[FIRST, axis], np.float32(block * BLOCK))
                frame[END, axis] = max(frame[END, axis], np.float32(min((block + 1) * BLOCK, shape[axis])))
    frame[NEAR] = frame[LOW] + frame[FIRST] / frame[SCALE]
    frame[FAR] = frame[LOW] + frame[END] / frame[SCALE]
    return frame


@compiled(exact=True)
def narrow(origin, direction, low, high, begin, end, n):
    """Narrows begin to end, distances along n rays, down to where these are between two planes."""
    for i in range(n):
        o, d = origin[i], direction[i]
        a, b = (low - o) / d, (high - o) / d
        # A ray along the planes is between them for ever or never, and the divisions mean nothing.
        beside = INFINITY if (o < low) | (o >= high) else -INFINITY
        first, last = (min(a, b), max(a, b)) if d != ZERO else (beside, -beside)
        begin[i], end[i] = max(begin[i], first), min(end[i], last)


@compiled(exact=True)
def lay(s, step, n):
    """COUNT lattice points for each of n rays that are sound and meet the box; from START to STOP, about, to be looked at.

    START and STOP come in as distances, and COUNT as the one where a ray leaves the box.
    """
    for i in range(n):
        begin, jitter, end = s[i + BEGIN * RAYS], s[i + JITTER * RAYS], s[i + COUNT * RAYS]
        ox, oy, oz = s[i + ORIGIN * RAYS], s[i + (ORIGIN + 1) * RAYS], s[i + (ORIGIN + 2) * RAYS]
        dx, dy, dz = s[i + DIRECTION * RAYS], s[i + (DIRECTION + 1) * RAYS], s[i + (DIRECTION + 2) * RAYS]
        square = dx * dx + dy * dy + dz * dz
        # Zero times a sum is zero unless something in it is not finite.
        sound = (ZERO * (ox + oy + oz + jitter + square) == ZERO) & (square >= SHORT)
        sound &= (begin < end) & (end < FAR_OFF * step)
        count = max(np.ceil((end - begin) / step - jitter), ZERO) if sound else ZERO
        start = np.ceil((s[i + START * RAYS] - begin) / step - jitter)
        stop = np.ceil((s[i + STOP * RAYS] - begin) / step - jitter)
        s[i + COUNT * RAYS] = count
        s[i + START * RAYS] = start if (start > ZERO) & (start < count) else (count if start > ZERO else ZERO)
        s[i + STOP * RAYS] = stop if (stop > ZERO) & (stop < count) else (count if stop > ZERO else ZERO)


@compiled(exact=True)
def measure(begin, jitter, k, shift, step, t, n):
    """Distances of lattice points k + shift of n rays."""
    for i in range(n):
        t[i] = begin[i] + ((k[i] + shift) + jitter[i]) * step


@compiled(exact=True)
def observe(origin, direction, t, sign, low, scale, first, end, out, n):
    """Sets out to 1 for rays that at t have yet to come between two planes (with sign -1: have left them), along one axis."""
    for i in range(n):
        u = (origin[i] + t[i] * direction[i] - low) * scale
        d = sign * direction[i]
        # A ray along the planes that is not between them is both, for ever.
        out[i] = ONE if ((d >= ZERO) & (u < first)) | ((d <= ZERO) & (u >= end)) else out[i]


@compiled(exact=True)
def judge(start, stop, count, doubt, n):
    """Doubt is for rays whose points next to START and STOP (four planes of it, as `_prove` asks) are not as they should be."""
    for i in range(n):
        outside = ((start[i] == ZERO) | (doubt[i] > ZERO)) & ((stop[i] == count[i]) | (doubt[i + RAYS] > ZERO))
        inside = (start[i] >= stop[i]) | ((doubt[i + 2 * RAYS] == ZERO) & (doubt[i + 3 * RAYS] == ZERO))
        doubt[i] = ZERO if outside & inside else ONE


@compiled()
def _load(origins, directions, jitter, first, s, n):
    for i in range(n):
        s[i + JITTER * RAYS] = jitter[first + i]
        for axis in range(3):
            s[i + (ORIGIN + axis) * RAYS] = origins[first + i, axis]
            s[i + (DIRECTION + axis) * RAYS] = directions[first + i, axis]


@compiled(exact=True)
def _approach(s, frame, near, step, n):
    """Fills in the planes beyond those that `_load` does."""
    s[BEGIN * RAYS : (BEGIN + 1) * RAYS] = near
    s[START * RAYS : (START + 1) * RAYS] = ZERO
    s[STOP * RAYS : (COUNT + 1) * RAYS] = INFINITY
    for axis in range(3):
        o, d = s[(ORIGIN + axis) * RAYS :], s[(DIRECTION + axis) * RAYS :]
        narrow(o, d, frame[LOW, axis], frame[HIGH, axis], s[BEGIN * RAYS :], s[COUNT * RAYS :], n)
        narrow(o, d, frame[NEAR, axis], frame[FAR, axis], s[START * RAYS :], s[STOP * RAYS :], n)
    lay(s, step, n)
    begin, jitter, start, stop = s, s[JITTER * RAYS :], s[START * RAYS :], s[STOP * RAYS :]
    doubt, t = s[DOUBT * RAYS :], s[DISTANCE * RAYS :]
    doubt[: 4 * RAYS] = ZERO
    for probe in range(4):
        sign = ONE if probe % 2 == 0 else -ONE
        shift = (-ONE, ZERO, ZERO, -ONE)[probe]
        measure(begin, jitter, start if probe % 2 == 0 else stop, shift, step, t, n)
        for axis in range(3):
            o, d = s[(ORIGIN + axis) * RAYS :], s[(DIRECTION + axis) * RAYS :]
            low, scale, first, end = frame[LOW, axis], frame[SCALE, axis], frame[FIRST, axis], frame[END, axis]
            observe(o, d, t, sign, low, scale, first, end, doubt[probe * RAYS :], n)
    judge(start, stop, s[COUNT * RAYS :], doubt, n)


@compiled(exact=True)
def _coordinate(ray, frame, step, k, axis):
    """Where lattice point k is, in cells along one axis."""
    t = ray[BEGIN] + (np.float32(k) + ray[JITTER]) * step
    return (ray[ORIGIN + axis] + t * ray[DIRECTION + axis] - frame[LOW, axis]) * frame[SCALE, axis]


@compiled(exact=True)
def _is_before(ray, frame, step, k, sign):
    """Whether, along some axis, lattice point k has yet to enter the occupied box (with sign -1: has left it)."""
    for axis in range(3):
        d = sign * ray[DIRECTION + axis]
        u = _coordinate(ray, frame, step, k, axis)
        # A ray along an axis's planes that is not between them is both, for ever.
        if (d >= ZERO and u < frame[FIRST, axis]) or (d <= ZERO and u >= frame[END, axis]):
            return True
    return False


@compiled(exact=True)
def _prove(ray, frame, step, start, stop, count):
    """From which to before which of `count` lattice points those in the occupied box are, from an estimate of it."""
    while start > 0 and not _is_before(ray, frame, step, start - 1, ONE):
        start -= 1
    while stop < count and not _is_before(ray, frame, step, stop, -ONE):
        stop += 1
    while start < stop and _is_before(ray, frame, step, start, ONE):
        start += 1
    while start < stop and _is_before(ray, frame, step, stop - 1, -ONE):
        stop -= 1
    return start, stop


@compiled(exact=True)
def _block(ray, frame, step, k):
    """The block that lattice point k is in."""
    x, y = np.int64(_coordinate(ray, frame, step, k, 0)), np.int64(_coordinate(ray, frame, step, k, 1))
    return x // BLOCK, y // BLOCK, np.int64(_coordinate(ray, frame, step, k, 2)) // BLOCK


@compiled(exact=True)
def _stretch(ray, frame, blocks, step, start, stop):
    """How many lattice points, the first and those after it, are in one block (estimated), and whether that is empty.

    Of an empty block there may be more, but never fewer.
    """
    block = _block(ray, frame, step, start)
    room = np.float32(stop - start - 1)
    for axis in range(3):
        pace = ray[DIRECTION + axis] * frame[SCALE, axis] * step
        if pace != 0:
            edge = np.float32(BLOCK * (block[axis] + (1 if pace > ZERO else 0)))
            room = min(room, (edge - _coordinate(ray, frame, step, start, axis)) / pace)
    n = np.int64(max(room, ZERO)) + 1
    if blocks[block]:
        return min(n, CHUNK), False
    while n > 1 and _block(ray, frame, step, start + n - 1) != block:
        n -= 1
    return n, True


@compiled(exact=True)
def number(ray, frame, shape, step, start, ts, at, n):
    """Distances of the n lattice points from `start` on, and which cells of the grid they are in (they must be in it)."""
    begin, jitter = ray[BEGIN], ray[JITTER]
    ox, oy, oz = ray[ORIGIN], ray[ORIGIN + 1], ray[ORIGIN + 2]
    dx, dy, dz = ray[DIRECTION], ray[DIRECTION + 1], ray[DIRECTION + 2]
    low_x, low_y, low_z = frame[LOW, 0], frame[LOW, 1], frame[LOW, 2]
    scale_x, scale_y, scale_z = frame[SCALE, 0], frame[SCALE, 1], frame[SCALE, 2]
    ny, nz = np.int32(shape[1]), np.int32(shape[2])
    first = np.float32(start)
    for i in range(n):
        t = begin + ((first + np.float32(np.int32(i))) + jitter) * step
        x = np.int32((ox + t * dx - low_x) * scale_x)
        y = np.int32((oy + t * dy - low_y) * scale_y)
        z = np.int32((oz + t * dz - low_z) * scale_z)
        ts[i] = t
        at[i] = np.int32(np.int32(x * ny + y) * nz + z)


@compiled(exact=True)
def _search(ray, frame, cells, shape, blocks, leaping, step, start, stop, most, ts, at, found):
    """Puts the distances of at most `most` samples into `found`, which has room for CHUNK more; returns their number."""
    count = 0
    while start < stop and count < most:
        n = min(CHUNK, stop - start)
        if leaping:
            n, empty = _stretch(ray, frame, blocks, step, start, stop)
            if empty:
                start += n
                continue
        # Whole vectors: what lies beyond is not looked at.
        number(ray, frame, shape, step, start, ts, at, (n + 15) & ~15)
        for i in range(n):
            found[count] = ts[i]
            count += cells[np.uint64(at[i])]
        start += n
    return min(count, most)


@compiled(parallel=True)
def _find(origins, directions, jitter, occupied, blocks, frame, step, most, near, found, starts, workers):
    """Puts the samples of each block of rays into its row of `found`, and their number for ray i into starts[i + 1]."""
    rays = origins.shape[0]
    shape, cells = np.array(occupied.shape), occupied.reshape(-1)
    leaping = WORTH * step * frame[SCALE].max() <= BLOCK
    counter = np.zeros(1, np.int64)
    for _worker in prange(workers):
        s, ray = np.empty(PLANES * RAYS, np.float32), np.empty(8, np.float32)
        ts, at = np.empty(CHUNK, np.float32), np.empty(CHUNK, np.int32)
        for _ in range(rays):
            row = take(counter)
            first = row * RAYS
            if first >= rays:
                break
            n, total = min(RAYS, rays - first), 0
            _load(origins, directions, jitter, first, s, n)
            _approach(s, frame, near, step, n)
            for i in range(n):
                doubtful = s[i + DOUBT * RAYS] > ZERO
                start, stop = np.int64(s[i + START * RAYS]), np.int64(s[i + STOP * RAYS])
                if doubtful | (start < stop):
                    for k in range(8):
                        ray[k] = s[i + k * RAYS]
                    if doubtful:
                        start, stop = _prove(ray, frame, step, start, stop, np.int64(s[i + COUNT * RAYS]))
                    room = found[row, total:]
                    count = _search(ray, frame, cells, shape, blocks, leaping, step, start, stop, most, ts, at, room)
                    starts[first + i + 1] = count
                    total += count


@compiled(parallel=True)
def _gather(found, starts, t):
    for row in prange(found.shape[0]):
        first, end = starts[row * RAYS], starts[min((row + 1) * RAYS, starts.shape[0] - 1)]
        for k in range(end - first):
            t[first + k] = found[row, k]


@compiled()
def march_rays(origins, directions, jitter, occupied, corners, step, most, near, workers):
    """Distances [M] of all samples, and where each ray's begin [N + 1]."""
    rays = origins.shape[0]
    blocks = _survey(occupied)
    frame = _frame(blocks, np.array(occupied.shape), corners)
    found = np.empty(((rays + RAYS - 1) // RAYS, RAYS * most + CHUNK), np.float32)
    starts = np.zeros(rays + 1, np.int64)
    if frame[FIRST, 0] < frame[END, 0]:
        _find(origins, directions, jitter, occupied, blocks, frame, step, most, near, found, starts, workers)
    for i in range(rays):
        starts[i + 1] += starts[i]
    t = np.empty(starts[-1], np.float32)
    _gather(found, starts, t)
    return t, starts


@compiled(parallel=True)
def place(t, starts, origins, directions):
    """Positions [M 3] of samples, and their rays [M]."""
    positions, rays = np.empty((t.shape[0], 3), np.float32), np.empty(t.shape[0], np.int64)
    for i in prange(origins.shape[0]):
        for k in range(starts[i], starts[i + 1]):
            for axis in range(3):
                positions[k, axis] = origins[i, axis] + t[k] * directions[i, axis]
            rays[k] = i
    return positions, rays
