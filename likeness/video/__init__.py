"""Read and write video and its sound (PyAV). The only place that touches codecs.

`container` opens files and explains what is wrong with them, `picture` reads pictures at a constant rate, `sound` reads
sound in blocks, `writer` writes both, `rewind` reads pictures from the end. Time 0 is always the first picture of a video
(the first sample of a sound file).
"""

from likeness.video.picture import FPS, Picture, Reader, Source, cadence, made_rate, probe, read
from likeness.video.rewind import backwards
from likeness.video.sound import Sound, mixdown, open_sound
from likeness.video.writer import PngWriter, Writer, check_place, encoding_of

__all__ = [
    "FPS", "Picture", "PngWriter", "Reader", "Sound", "Source", "Writer",
    "backwards", "cadence", "check_place", "encoding_of", "made_rate", "mixdown", "open_sound", "probe", "read",
]  # fmt: skip
