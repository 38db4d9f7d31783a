"""Sync expert on pixels: whether the lower part of five face crops belongs to 0.2 s of sound (after Prajwal et al. 2020).

`expert` is the network, `material` what it learns from, `pretrain` how, `asset` the file that comes out; `loss` makes it a
part of what lips are trained to, `measure` asks it about a finished video. `published` is another loss, by the weights that
Wav2Lip's authors gave away. What it shares with the expert on landmarks it
takes from there: which pairs are negatives, the loss, the trial, the chance.
"""
