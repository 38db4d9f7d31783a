"""Sync expert on landmarks: whether a mouth's movement belongs to a sound (after Ye et al. 2023, Chung and Zisserman 2016).

`expert` is the network, `material` what it learns from, `pretrain` how, `asset` the file that comes out; `measure` finds the
offset of a whole clip, `trial` says how far the expert may be trusted. `judge` is what it shares with the expert on `pixels`.
"""
