"""Where the shapes of our answers are others than those of Docker's, each with its reason: to be reviewed.

A pattern (fnmatch) of ``version method path``, one of the field, and why. What is not here and deviates fails
the test by name; so does what is here and never occurs.
"""

from __future__ import annotations

_OWN = "a container's root is mounted in its own namespace only: no path leads to it"
FIELDS: list[tuple[str, str, str]] = [
    ("* GET /version", ".BuildTime: missing", "nothing is built: it is what the version says"),
    ("* GET /containers/*/json*", ".GraphDriver.Data.MergedDir: missing", _OWN),
    ("* GET /images/*/json", ".GraphDriver.Data.MergedDir: missing", "an image is mounted nowhere"),
    ("* GET /images/*/json", ".GraphDriver.Data.WorkDir: missing", "an image is mounted nowhere"),
    (
        "* GET /containers/*/json*",
        ".HostConfig.Ulimits: null for *",
        "the peer is started with --default-ulimit",
    ),
    ("* GET /images/json*", "[[]].RepoDigests: [[]] for null", "a list, as is published"),
    ("* GET /system/df", ".Images[[]].RepoDigests: [[]] for null", "a list, as is published"),
    ("* GET /containers/*/stats*&one-shot=1", ".id: too much", "with one sample as with two"),
    ("* GET /containers/*/stats*&one-shot=1", ".name: too much", "with one sample as with two"),
    ("* GET /nosuch", "header.*: too much", "every answer says who gives it"),
]
