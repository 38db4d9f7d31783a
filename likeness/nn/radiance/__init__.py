"""A head as a radiance field on grids (Tang et al. 2022; Li et al. 2023): what the methods that draw one share.

`settings` says how it is built and trained; `head` holds what is learned, `stages` learn it, `start` has another begin with it,
`performer` draws it. What a
method adds is what moves the face: `Head.coded` and `Head.said`, and the conditioning of `listen` and `follow`.
"""

from likeness.nn.radiance.settings import Settings

__all__ = ["Settings"]
