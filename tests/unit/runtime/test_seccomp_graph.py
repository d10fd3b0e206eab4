"""A seccomp program as a graph: what is written is what was read."""

from __future__ import annotations

import random

import pytest

from tests.bpf import Simulator
from wharfie.linux.classic_bpf import AND, ANY_BIT, AT_LEAST, EQUAL, GREATER, JUMP, LOAD, RETURN, instruction
from wharfie.runtime.seccomp_graph import Graph, Unclear, read, write


def graph_of_chance(chance: random.Random, size: int, reach: int) -> tuple[Graph, int]:
    """Of so many nodes, each of which leads at most so many back: about as far as a condition can skip."""
    graph = Graph()
    nodes = [graph.node(RETURN, answer) for answer in range(10)]
    while len(nodes) < size:
        code = chance.choice((LOAD, AND, EQUAL, GREATER, AT_LEAST, ANY_BIT, EQUAL, GREATER))
        near = nodes[-reach:]
        # the last one always, so that nearly all are needed
        true, false = chance.sample([nodes[-1], chance.choice(near)], 2)
        constant = len(nodes)
        nodes.append(graph.node(code, constant, true, -1 if code in (LOAD, AND) else false))
    return graph, nodes[-1]


@pytest.mark.parametrize("reach", [5, 250, 400, 2000])
def test_what_is_written_is_what_was_read(reach: int) -> None:
    chance = random.Random(reach)
    for _ in range(20):
        graph, entry = graph_of_chance(chance, 1200, reach)
        written = write(graph, entry)
        assert read(graph, written) == entry
        assert len(written) < 2.5 * 1200 * 8


@pytest.mark.parametrize("gap", range(250, 260))
def test_both_ways_of_a_condition_may_be_just_in_reach(gap: int) -> None:
    """The first way is as far as can be skipped when the other one is bridged, which moves it on by one."""
    graph = Graph()
    far = graph.node(EQUAL, 1, graph.node(RETURN, 0), graph.node(RETURN, 1))
    further = node = graph.node(EQUAL, 2, graph.node(RETURN, 2), far)
    for constant in range(gap):
        node = graph.node(LOAD, constant, node)
    for true, false in ((far, further), (further, far)):
        between = graph.node(EQUAL, 5, node, further)
        entry = graph.node(EQUAL, 6, between, graph.node(EQUAL, 7, true, false))
        assert read(graph, write(graph, entry)) == entry


def test_jumps_and_what_is_said_twice_are_no_nodes() -> None:
    answer = instruction(RETURN, 7)
    twice = instruction(LOAD, 0) + instruction(EQUAL, 1, 1, 0) + instruction(JUMP, 1) + answer + answer
    graph = Graph()
    entry = read(graph, twice)
    assert write(graph, entry) == instruction(LOAD, 0) + answer
    assert Simulator(twice).verdict(1, 0) == Simulator(write(graph, entry)).verdict(1, 0) == 7


@pytest.mark.parametrize("program", [b"", bytes(8), b"123", instruction(LOAD, 0), instruction(JUMP, 0)])
def test_what_is_no_program_is_unclear(program: bytes) -> None:
    with pytest.raises(Unclear):
        read(Graph(), program)
