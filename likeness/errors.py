"""Errors that a person can act on: what is wrong, where, why, and what to do. Each kind has its exit code."""


class LikenessError(Exception):
    """A failure with an explanation for the user. `exit_code` is what the command line returns."""

    exit_code = 1


class BadInput(LikenessError):
    """A file, folder or value that cannot be used as given."""

    exit_code = 3


class MissingAsset(LikenessError):
    """A weight file or system library that has to be put in place by the user."""

    exit_code = 4


class Refused(LikenessError):
    """Something that could be done but should not, such as overwriting what another version made."""

    exit_code = 5


class Exhausted(LikenessError):
    """Out of disk or memory."""

    exit_code = 6
