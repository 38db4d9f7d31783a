"""Work in another process that ends it now and then."""

from __future__ import annotations

import os

BAD = 2


def square(number: int) -> int:
    if number == BAD:
        os._exit(9)
    return number**2
