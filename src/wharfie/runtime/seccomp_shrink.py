"""The same seccomp program in a fifth of the instructions.

libseccomp compares with the number of every system call, but most neighbours have one answer. The kernel
checks, converts and translates a program at every start, and keeps three forms of it for every process::

    program ─ read ──> graph ─ explore ──> per architecture: intervals of numbers, and what each leads to
                         ^                    │
                         │                 decide: search trees over them, on the graph's own nodes
                         └──── read again ─ write, from the end

What numbers lead to is a return, or a load of an argument with all that follows, which stays as it is. The
new program is read and explored as the old one was, and counts only when it says the same of every number of
every architecture. A program that is not understood stays as it is.
"""

from __future__ import annotations

from wharfie.linux.classic_bpf import (
    AND,
    ARCHITECTURE,
    AT_LEAST,
    EQUAL,
    GREATER,
    LOAD,
    NUMBER,
    RETURN,
    X32_BIT,
)
from wharfie.runtime.seccomp_graph import Graph, Unclear, read, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    Intervals = list[tuple[int, int]]
    """Where each begins, and the node that it leads to; the last one ends with the numbers."""

_ALL = 1 << 32
_OTHERS = -1
"""Every architecture that the program does not compare with."""
_PATIENCE = 200_000
"""Steps of exploring: programs of libseccomp's need some thousands."""
_WIDEST = 7
"""Intervals in a leaf of a search tree; what gets there goes through one comparison for every two."""
_WEIGHED = 480
"""Numbers that a machine has: at every load the kernel runs the program for each."""


def shrink(program: bytes) -> bytes:
    """An equivalent program that is not longer; ``program`` is an array of ``struct sock_filter``."""
    graph = Graph()
    try:
        said = _explore(graph, read(graph, program))
        written = write(graph, _decide(graph, said))
        if len(written) <= len(program) and _explore(graph, read(graph, written)) == said:
            return written
    except Unclear:
        return program
    return program


def _explore(graph: Graph, entry: int) -> dict[int, Intervals]:
    """What the program says, per architecture that is not like the others."""
    said: dict[int, Intervals] = {}
    waiting = [_OTHERS]
    for architecture in waiting:
        said[architecture], compared = _intervals(graph, entry, architecture)
        waiting += [other for other in dict.fromkeys(compared) if other not in waiting]
    others = said[_OTHERS]
    return {key: found for key, found in said.items() if key == _OTHERS or found != others}


def _intervals(graph: Graph, entry: int, architecture: int) -> tuple[Intervals, list[int]]:
    """What the program says of one architecture, and the ones it compares with on the way."""
    found: Intervals = []
    compared: list[int] = []
    # node; first and last + 1 of the numbers that get there; what was loaded; how much a mask took from it
    waiting = [(entry, 0, _ALL, -1, 0)]
    for _ in range(_PATIENCE):
        if not waiting:
            return _merged(sorted(found)), compared
        node, low, high, loaded, taken = waiting.pop()
        code, constant, true, false = graph.nodes[node]
        if code == RETURN or (code == LOAD and constant not in (NUMBER, ARCHITECTURE)):
            found.append((low, node))
        elif code == LOAD:
            waiting.append((true, low, high, constant, 0))
        elif loaded == ARCHITECTURE and code == EQUAL:
            compared.append(constant)
            waiting.append((true if constant == architecture else false, low, high, loaded, taken))
        elif loaded == NUMBER:
            for start, end, follows, takes in _parts(graph.nodes[node], taken):
                if max(low, start) < min(high, end):
                    waiting.append((follows, max(low, start), min(high, end), loaded, takes))
        else:
            raise Unclear(f"{code:#x} upon {loaded}")
    raise Unclear("too many steps")


def _parts(node: tuple[int, int, int, int], taken: int) -> list[tuple[int, int, int, int]]:
    """How an instruction parts the numbers: first, last + 1, what follows, what a mask took from them."""
    code, constant, true, false = node
    point = constant + taken
    if code == EQUAL:
        return [(0, point, false, taken), (point, point + 1, true, taken), (point + 1, _ALL, false, taken)]
    if code in (AT_LEAST, GREATER):
        point += code == GREATER
        return [(0, point, false, taken), (point, _ALL, true, taken)]
    if code == AND and constant == _ALL - 1 - X32_BIT:
        quarters = range(0, _ALL, X32_BIT)
        return [(quarter, quarter + X32_BIT, true, quarter & X32_BIT) for quarter in quarters]
    raise Unclear(f"{code:#x} upon a number")


def _merged(intervals: Intervals) -> Intervals:
    merged: Intervals = []
    for start, node in intervals:
        if not merged or merged[-1][1] != node:
            merged.append((start, node))
    return merged


def _decide(graph: Graph, said: dict[int, Intervals]) -> int:
    """The node at which a program that says this begins."""
    nodes = {}
    for architecture, intervals in said.items():
        node = _search(graph, _leaves(intervals))
        nodes[architecture] = node if len(intervals) == 1 else graph.node(LOAD, NUMBER, node)
    others = node = nodes.pop(_OTHERS)
    for architecture in reversed(nodes):
        node = graph.node(EQUAL, architecture, nodes[architecture], node)
    return node if node == others else graph.node(LOAD, ARCHITECTURE, node)


def _search(graph: Graph, leaves: list[tuple[int, int, Intervals]]) -> int:
    starts = [start for start, *_ in leaves]
    # of all leaves before each; none weighs nothing
    weights = [min(start, _WEIGHED) + position for position, start in enumerate([*starts, _ALL])]

    def tree(low: int, high: int) -> int:
        if high - low > 1:
            both = weights[low] + weights[high]
            middle = min(range(low + 1, high), key=lambda split: abs(2 * weights[split] - both))
            return graph.node(AT_LEAST, starts[middle], tree(middle, high), tree(low, middle))
        _, node, exceptions = leaves[low]
        for number, other in exceptions:
            node = graph.node(EQUAL, number, other, node)
        return node

    return tree(0, len(leaves))


def _leaves(intervals: Intervals) -> list[tuple[int, int, Intervals]]:
    """The intervals in groups: first number, usual node, and single numbers that lead elsewhere.

    A single number among others takes one comparison that way, instead of two.
    """
    ends = [start for start, _ in intervals[1:]] + [_ALL]
    # for so many intervals: what they cost at least, where the last group begins, its usual node
    best = [(0, 0, 0)]
    for count in range(1, len(ends) + 1):
        choices = []
        wide: set[int] = set()
        nodes: list[int] = []
        for begin in range(count - 1, max(-1, count - 1 - _WIDEST), -1):
            start, node = intervals[begin]
            nodes.append(node)
            if ends[begin] - start > 1:
                wide.add(node)
            if len(wide) > 1:
                break
            usual = min(wide) if wide else max(nodes, key=nodes.count)
            comparisons = 1 + len(nodes) - nodes.count(usual)
            choices.append((best[begin][0] + comparisons, begin, usual))
        best.append(min(choices))
    leaves = []
    count = len(intervals)
    while count:
        _, begin, usual = best[count]
        elsewhere = [part for part in intervals[begin:count] if part[1] != usual]
        leaves.append((intervals[begin][0], usual, elsewhere))
        count = begin
    return leaves[::-1]
