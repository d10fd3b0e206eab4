"""Names, ids, the event stream, filters and waiting."""

from __future__ import annotations

import pytest

from wharfie.engine import filters, waiting
from wharfie.engine.container import Container, Record, State, Status
from wharfie.engine.events import HISTORY, EventBus
from wharfie.engine.registry import AmbiguousId, NameInUse, NoSuchContainer, Registry
from wharfie.engine.words import status_words
from wharfie.errors import InvalidArgument
from wharfie.state.containers import ContainerStore
from wharfie.state.db import Database
from wharfie.wire.config import Config, HostConfig

SECOND = 1_000_000_000


def container(identifier: str, name: str, labels: dict[str, str] | None = None) -> Container:
    config = Config(image="busybox", labels=labels)
    record = Record(
        config=config, host_config=HostConfig(), image_id="sha256:i", created=5, path="sh", args=[]
    )
    return Container(identifier, name, record, Status(), directory="/d", run_directory="/r")


def registry() -> tuple[Registry, ContainerStore]:
    store = ContainerStore(Database(":memory:"))
    return Registry(store, EventBus()), store


async def test_names_ids_and_prefixes_find_a_container() -> None:
    known, _ = registry()
    one, two = container("aa11", "one"), container("aa22", "two")
    known.add(one)
    known.add(two)
    assert known.get("one") is known.get("/one") is known.get("aa11") is known.get("aa1") is one
    with pytest.raises(AmbiguousId):
        known.get("aa")
    for ref in ("nosuch", ""):
        with pytest.raises(NoSuchContainer, match=f"No such container: {ref}"):
            known.get(ref)


async def test_a_name_is_free_at_once_when_its_container_is_gone() -> None:
    known, _ = registry()
    one = container("aa11", "one")
    known.add(one)
    with pytest.raises(NameInUse, match='The container name "/one" is already in use by container "aa11"'):
        known.add(container("bb22", "one"))
    known.rename(one, "other")
    known.add(container("bb22", "one"))
    known.remove(one)
    known.add(container("cc33", "other"))


async def test_what_was_written_is_read_again() -> None:
    known, store = registry()
    one = container("aa11", "one", {"a": "b"})
    known.add(one)
    known.set_status(one, Status(state=State.EXITED, exit_code=3, finished_at=9))
    again = Registry(store, EventBus())
    again.load(lambda identifier: (f"/data/{identifier}", f"/run/{identifier}"))
    found = again.get("one")
    assert (found.status, found.record) == (one.status, one.record)
    assert found.directory == "/data/aa11"


async def test_events_are_replayed_from_history_and_filtered() -> None:
    bus = EventBus()
    for number in range(HISTORY + 10):
        bus.emit("container", "start", f"id{number}", {"name": f"n{number}", "image": "busybox:latest"})
    with bus.subscribe(since_ns=0) as everything:
        replayed = [(await anext(everything)).actor.id for _ in range(HISTORY)]
    assert replayed == [f"id{number}" for number in range(10, HISTORY + 10)]
    with bus.subscribe(accepts=filters.events({"container": ["c"], "event": ["exec_start"]})) as chosen:
        bus.emit("container", "exec_start: sh", "id", {"name": "other"})
        bus.emit("container", "die", "id", {"name": "c"})
        bus.emit("container", "exec_start: sh", "id", {"name": "c"})
        event = await anext(chosen)
        assert (event.action, event.actor.attributes["name"], event.from_) == ("exec_start: sh", "c", "")
        chosen.close()
        assert [item async for item in chosen] == []


async def test_names_are_matched_by_their_beginnings_and_unknown_filters_have_no_effect() -> None:
    bus = EventBus()
    for kind, name in (("container", "foobar"), ("network", "foonet"), ("volume", "other")):
        bus.emit(kind, "create", f"{kind}-id", {"name": name})

    async def found(**given: str) -> list[str]:
        accepts = filters.events({name: [value] for name, value in given.items()})
        with bus.subscribe(accepts=accepts, since_ns=0) as chosen:
            chosen.close()
            return [event.type async for event in chosen]

    assert await found(container="foo") == await found(volume="foo") == ["container", "network"]
    assert await found(volume="volume-i") == ["volume"]
    assert await found(service="nosuch") == []
    assert await found(nosuch="x") == ["container", "network", "volume"]
    assert await found(event="cre") == []
    assert await found(event="create", type="volume") == ["volume"]


async def test_a_filter_by_image_knows_names_with_and_without_tag() -> None:
    bus = EventBus()
    with bus.subscribe(accepts=filters.events({"image": ["busybox"]})) as chosen:
        bus.emit("container", "start", "id", {"image": "busybox:latest"})
        assert (await anext(chosen)).action == "start"


def test_filters_that_there_are_not() -> None:
    with pytest.raises(InvalidArgument) as caught:
        filters.check({"nosuch": ["1"]}, filters.LISTED)
    assert caught.value.message == "invalid filter 'nosuch'"


def test_labels_must_all_be_there() -> None:
    assert filters.has_labels(["a", "b=c"], {"a": "", "b": "c"})
    assert not filters.has_labels(["a", "b=x"], {"a": "", "b": "c"})


async def test_waiting_is_registered_before_it_is_answered() -> None:
    one = container("aa11", "one")
    assert (await waiting.wait(one).result()).status_code == 0
    one.status = Status(state=State.RUNNING)
    ended = waiting.wait(one, "next-exit")
    gone = waiting.wait(one, "removed")
    one.status = Status(state=State.EXITED, exit_code=7)
    waiting.wake(one)
    assert (await ended.result()).status_code == 7
    waiting.wake_removed(one)
    assert (await gone.result()).status_code == 7
    with pytest.raises(InvalidArgument):
        waiting.wait(one, "nonsense")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status(), "Created"),
        (Status(state=State.RUNNING, started_at=SECOND), "Up 5 seconds"),
        (Status(state=State.PAUSED, started_at=SECOND), "Up 5 seconds (Paused)"),
        (
            Status(state=State.EXITED, started_at=1, finished_at=SECOND, exit_code=2),
            "Exited (2) 5 seconds ago",
        ),
        (
            Status(state=State.RESTARTING, started_at=1, finished_at=SECOND, exit_code=1),
            "Restarting (1) 5 seconds ago",
        ),
    ],
)
def test_a_status_in_words(status: Status, words: str) -> None:
    assert status_words(status, 6 * SECOND) == words
