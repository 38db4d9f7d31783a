"""A synthetic actor: a drawn head that talks, with exact ground truth. No real face is shipped; this one is the demo
and the tests.

actor = Actor(seed=0)
take = actor.perform(seconds=30, seed=1)
take.write("actor.mp4"); take.save_truth("actor.npz")
"""

from likeness.actor.performance import LANDMARKS, Actor, Performance, Trouble
from likeness.actor.phones import SILENCE, Phone

__all__ = ["LANDMARKS", "SILENCE", "Actor", "Performance", "Phone", "Trouble"]
