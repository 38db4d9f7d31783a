"""Projection of 3D Gaussians to the picture on the CPU (Numba): one fused pass forward, one backward."""

import numpy as np
from numba import prange

from likeness.kernels.compiled import compiled
from likeness.kernels.tiles_cpu import HUGE

ZERO = np.float32(0.0)
ONE = np.float32(1.0)
TWO = np.float32(2.0)
THREE = np.float32(3.0)
HALF = np.float32(0.5)
NEAR = np.float32(0.01)
LOW_PASS = np.float32(0.3)
MARGIN = np.float32(0.15)
TINY = np.float32(1e-12)


@compiled(inline=True)
def _rotation(quat):
    """Rotation matrix (nine numbers, row by row) of a quaternion w x y z, the unit quaternion and 1 / length."""
    w, x, y, z = quat[0], quat[1], quat[2], quat[3]
    inverse = ONE / np.sqrt(max(w * w + x * x + y * y + z * z, TINY))
    w, x, y, z = w * inverse, x * inverse, y * inverse, z * inverse
    r00, r01, r02 = ONE - TWO * (y * y + z * z), TWO * (x * y - w * z), TWO * (x * z + w * y)
    r10, r11, r12 = TWO * (x * y + w * z), ONE - TWO * (x * x + z * z), TWO * (y * z - w * x)
    r20, r21, r22 = TWO * (x * z - w * y), TWO * (y * z + w * x), ONE - TWO * (x * x + y * y)
    return r00, r01, r02, r10, r11, r12, r20, r21, r22, w, x, y, z, inverse


@compiled(inline=True)
def _camera_point(view, mean):
    x = view[0, 0] * mean[0] + view[0, 1] * mean[1] + view[0, 2] * mean[2] + view[0, 3]
    y = view[1, 0] * mean[0] + view[1, 1] * mean[1] + view[1, 2] * mean[2] + view[1, 3]
    z = view[2, 0] * mean[0] + view[2, 1] * mean[1] + view[2, 2] * mean[2] + view[2, 3]
    return x, y, z


@compiled(inline=True)
def _slopes(x, y, z, limits):
    """x/z and y/z, kept within the limits [left right top bottom] where the affine approximation holds."""
    return min(max(x / z, limits[0]), limits[1]), min(max(y / z, limits[2]), limits[3])


@compiled(inline=True)
def _affine(view, inverse_z, u, v, fx, fy):
    """J W (2 x 3): the projection linearised at slopes u, v, times the camera's rotation."""
    a, b = fx * inverse_z, fy * inverse_z
    t00, t01, t02 = (
        a * (view[0, 0] - u * view[2, 0]),
        a * (view[0, 1] - u * view[2, 1]),
        a * (view[0, 2] - u * view[2, 2]),
    )
    t10, t11, t12 = (
        b * (view[1, 0] - v * view[2, 0]),
        b * (view[1, 1] - v * view[2, 1]),
        b * (view[1, 2] - v * view[2, 2]),
    )
    return t00, t01, t02, t10, t11, t12


@compiled(inline=True)
def _axes(t, r, scale):
    """T R S (2 x 3): the Gaussian's three axes in the picture. Its square is the 2D covariance."""
    m00 = (t[0] * r[0] + t[1] * r[3] + t[2] * r[6]) * scale[0]
    m01 = (t[0] * r[1] + t[1] * r[4] + t[2] * r[7]) * scale[1]
    m02 = (t[0] * r[2] + t[1] * r[5] + t[2] * r[8]) * scale[2]
    m10 = (t[3] * r[0] + t[4] * r[3] + t[5] * r[6]) * scale[0]
    m11 = (t[3] * r[1] + t[4] * r[4] + t[5] * r[7]) * scale[1]
    m12 = (t[3] * r[2] + t[4] * r[5] + t[5] * r[8]) * scale[2]
    return m00, m01, m02, m10, m11, m12


@compiled(parallel=True)
def project_forward(means, quats, scales, view, limits, focal, centre, width, height):
    """Returns means2d [N 2], conics [N 3], depths [N], radii [N]; rows of culled Gaussians are zero."""
    n = means.shape[0]
    means2d = np.zeros((n, 2), np.float32)
    conics = np.zeros((n, 3), np.float32)
    depths = np.zeros(n, np.float32)
    radii = np.zeros(n, np.int32)
    fx, fy = focal[0], focal[1]
    for g in prange(n):
        x, y, z = _camera_point(view, means[g])
        if z > NEAR and z < HUGE:
            u, v = _slopes(x, y, z, limits)
            inverse_z = ONE / z
            t = _affine(view, inverse_z, u, v, fx, fy)
            m = _axes(t, _rotation(quats[g]), scales[g])
            xx = m[0] * m[0] + m[1] * m[1] + m[2] * m[2] + LOW_PASS
            xy = m[0] * m[3] + m[1] * m[4] + m[2] * m[5]
            yy = m[3] * m[3] + m[4] * m[4] + m[5] * m[5] + LOW_PASS
            determinant = xx * yy - xy * xy
            middle = HALF * (xx + yy)
            difference = HALF * (xx - yy)
            radius = np.ceil(THREE * np.sqrt(middle + np.sqrt(difference * difference + xy * xy)))
            px = fx * x * inverse_z + centre[0]
            py = fy * y * inverse_z + centre[1]
            inside = px + radius > ZERO and px - radius < width and py + radius > ZERO and py - radius < height
            if inside and determinant > ZERO and radius < np.float32(1e9):
                means2d[g, 0], means2d[g, 1] = px, py
                conics[g, 0], conics[g, 1], conics[g, 2] = yy / determinant, -xy / determinant, xx / determinant
                depths[g] = z
                radii[g] = np.int32(radius)
    return means2d, conics, depths, radii


@compiled(inline=True)
def _rotation_backward(v_r, w, x, y, z, inverse, out):
    """Gradient of the raw quaternion from that of the rotation matrix."""
    v00, v01, v02, v10, v11, v12, v20, v21, v22 = v_r
    v_w = TWO * (x * (v21 - v12) + y * (v02 - v20) + z * (v10 - v01))
    v_x = TWO * (y * (v01 + v10) + z * (v02 + v20) + w * (v21 - v12) - TWO * x * (v11 + v22))
    v_y = TWO * (x * (v01 + v10) + z * (v12 + v21) + w * (v02 - v20) - TWO * y * (v00 + v22))
    v_z = TWO * (x * (v02 + v20) + y * (v12 + v21) + w * (v10 - v01) - TWO * z * (v00 + v11))
    along = w * v_w + x * v_x + y * v_y + z * v_z
    out[0] = (v_w - along * w) * inverse
    out[1] = (v_x - along * x) * inverse
    out[2] = (v_y - along * y) * inverse
    out[3] = (v_z - along * z) * inverse


@compiled(parallel=True)
def project_backward(
    means, quats, scales, view, limits, focal, conics, radii, v_means2d, v_conics, v_depths, v_means, v_quats, v_scales
):
    """Fills v_means [N 3], v_quats [N 4], v_scales [N 3], which come in as zeros."""
    fx, fy = focal[0], focal[1]
    for g in prange(means.shape[0]):
        if radii[g] > 0:
            x, y, z = _camera_point(view, means[g])
            u, v = _slopes(x, y, z, limits)
            inverse_z = ONE / z
            t = _affine(view, inverse_z, u, v, fx, fy)
            rotation = _rotation(quats[g])
            m = _axes(t, rotation, scales[g])
            # d loss / d covariance = -Q G Q for the conic Q and its symmetric gradient G.
            a, b, c = conics[g, 0], conics[g, 1], conics[g, 2]
            ga, gb, gc = v_conics[g, 0], HALF * v_conics[g, 1], v_conics[g, 2]
            q00, q01, q10, q11 = a * ga + b * gb, a * gb + b * gc, b * ga + c * gb, b * gb + c * gc
            cov_xx = -(q00 * a + q01 * b)
            cov_xy = -(q00 * b + q01 * c)
            cov_yy = -(q10 * b + q11 * c)
            # Through M = T R S, covariance M M^T: dM = 2 dC M, [2 x 3]; axis by axis.
            vt00 = vt01 = vt02 = vt10 = vt11 = vt12 = ZERO
            d00 = TWO * (cov_xx * m[0] + cov_xy * m[3])
            d01 = TWO * (cov_xx * m[1] + cov_xy * m[4])
            d02 = TWO * (cov_xx * m[2] + cov_xy * m[5])
            d10 = TWO * (cov_xy * m[0] + cov_yy * m[3])
            d11 = TWO * (cov_xy * m[1] + cov_yy * m[4])
            d12 = TWO * (cov_xy * m[2] + cov_yy * m[5])
            s0, s1, s2 = scales[g, 0], scales[g, 1], scales[g, 2]
            r = rotation
            v_scales[g, 0] = d00 * (t[0] * r[0] + t[1] * r[3] + t[2] * r[6]) + d10 * (t[3] * r[0] + t[4] * r[3] + t[5] * r[6])
            v_scales[g, 1] = d01 * (t[0] * r[1] + t[1] * r[4] + t[2] * r[7]) + d11 * (t[3] * r[1] + t[4] * r[4] + t[5] * r[7])
            v_scales[g, 2] = d02 * (t[0] * r[2] + t[1] * r[5] + t[2] * r[8]) + d12 * (t[3] * r[2] + t[4] * r[5] + t[5] * r[8])
            d00, d01, d02, d10, d11, d12 = d00 * s0, d01 * s1, d02 * s2, d10 * s0, d11 * s1, d12 * s2
            v_r = (
                t[0] * d00 + t[3] * d10,
                t[0] * d01 + t[3] * d11,
                t[0] * d02 + t[3] * d12,
                t[1] * d00 + t[4] * d10,
                t[1] * d01 + t[4] * d11,
                t[1] * d02 + t[4] * d12,
                t[2] * d00 + t[5] * d10,
                t[2] * d01 + t[5] * d11,
                t[2] * d02 + t[5] * d12,
            )
            _rotation_backward(v_r, r[9], r[10], r[11], r[12], r[13], v_quats[g])
            vt00 = d00 * r[0] + d01 * r[1] + d02 * r[2]
            vt01 = d00 * r[3] + d01 * r[4] + d02 * r[5]
            vt02 = d00 * r[6] + d01 * r[7] + d02 * r[8]
            vt10 = d10 * r[0] + d11 * r[1] + d12 * r[2]
            vt11 = d10 * r[3] + d11 * r[4] + d12 * r[5]
            vt12 = d10 * r[6] + d11 * r[7] + d12 * r[8]
            # T = [a (W0 - u W2), b (W1 - v W2)], a = fx / z, b = fy / z.
            fx_z, fy_z = fx * inverse_z, fy * inverse_z
            v_u = -fx_z * (vt00 * view[2, 0] + vt01 * view[2, 1] + vt02 * view[2, 2])
            v_v = -fy_z * (vt10 * view[2, 0] + vt11 * view[2, 1] + vt12 * view[2, 2])
            v_z = v_depths[g] - inverse_z * (vt00 * t[0] + vt01 * t[1] + vt02 * t[2] + vt10 * t[3] + vt11 * t[4] + vt12 * t[5])
            slope_u, slope_v = x * inverse_z, y * inverse_z
            if slope_u < limits[0] or slope_u > limits[1]:
                v_u = ZERO
            if slope_v < limits[2] or slope_v > limits[3]:
                v_v = ZERO
            v_u += fx * v_means2d[g, 0]
            v_v += fy * v_means2d[g, 1]
            v_x = v_u * inverse_z
            v_y = v_v * inverse_z
            v_z -= (v_u * slope_u + v_v * slope_v) * inverse_z
            v_means[g, 0] = view[0, 0] * v_x + view[1, 0] * v_y + view[2, 0] * v_z
            v_means[g, 1] = view[0, 1] * v_x + view[1, 1] * v_y + view[2, 1] * v_z
            v_means[g, 2] = view[0, 2] * v_x + view[1, 2] * v_y + view[2, 2] * v_z
