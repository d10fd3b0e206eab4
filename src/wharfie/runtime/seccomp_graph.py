"""A seccomp program as a graph, and back to a program.

A node is an instruction that knows which nodes follow it, so it stands for all that is left to do when the
program gets there. What is alike is one node, however often the program has it; plain jumps are none.
"""

from __future__ import annotations

import struct

from wharfie.linux.classic_bpf import (
    AND,
    ANY_BIT,
    AT_LEAST,
    EQUAL,
    GREATER,
    INSTRUCTION,
    JUMP,
    LOAD,
    RETURN,
    instruction,
)

_CONDITIONS = (EQUAL, GREATER, AT_LEAST, ANY_BIT)
_FARTHEST = 255
"""Instructions that a condition can skip; other jumps skip as many as they like."""


class Unclear(Exception):
    """A program that does what is not understood here."""


class Graph:
    """Nodes are numbered, and what follows one has a lower number."""

    def __init__(self) -> None:
        self.nodes: list[tuple[int, int, int, int]] = []
        self._numbers: dict[tuple[int, int, int, int], int] = {}

    def node(self, code: int, constant: int, true: int = -1, false: int = -1) -> int:
        """The number of this instruction; ``true`` also follows where there is no condition."""
        if code in _CONDITIONS and true == false:
            return true
        key = (code, constant, true, false)
        if key not in self._numbers:
            self._numbers[key] = len(self.nodes)
            self.nodes.append(key)
        return self._numbers[key]


def read(graph: Graph, program: bytes) -> int:
    """The node at which the program begins; raises Unclear."""
    try:
        return _read(graph, list(struct.iter_unpack(INSTRUCTION, program)))
    except (IndexError, struct.error) as error:
        raise Unclear("a jump leads out, or an instruction is not whole") from error


def _read(graph: Graph, instructions: list[tuple[int, int, int, int]]) -> int:
    nodes = [-1] * len(instructions)
    for position in range(len(instructions) - 1, -1, -1):
        code, true, false, constant = instructions[position]
        after = position + 1
        if code == RETURN:
            nodes[position] = graph.node(code, constant)
        elif code == JUMP:
            nodes[position] = nodes[after + constant]
        elif code in (LOAD, AND):
            nodes[position] = graph.node(code, constant, nodes[after])
        elif code in _CONDITIONS:
            nodes[position] = graph.node(code, constant, nodes[after + true], nodes[after + false])
        else:
            raise Unclear(f"{code:#x} at {position}")
    return nodes[0]


def write(graph: Graph, entry: int) -> bytes:
    """The program, from its end to its beginning, so that the distance of every jump is known."""
    wanted = {entry}
    for node in range(entry, -1, -1):
        if node in wanted:
            wanted.update(graph.nodes[node][2:])
    written: list[bytes] = []
    places: dict[int, int] = {}

    def put(code: int, constant: int, true: int = 0, false: int = 0) -> None:
        written.append(instruction(code, constant, true, false))

    def approach(node: int, distance: int) -> None:
        """Nothing, or one more instruction: then the node is that near for the next."""
        away = len(written) - 1 - places[node]
        if away > distance:
            code, constant, *_ = graph.nodes[node]
            put(*((code, constant) if code == RETURN else (JUMP, away)))
            places[node] = len(written) - 1

    for node in sorted(wanted - {-1}):
        code, constant, true, false = graph.nodes[node]
        if code in _CONDITIONS:
            approach(true, _FARTHEST - 1)
            approach(false, _FARTHEST)
            last = len(written) - 1
            put(code, constant, last - places[true], last - places[false])
        else:
            if code != RETURN:
                approach(true, 0)
            put(code, constant)
        places[node] = len(written) - 1
    return b"".join(reversed(written))
