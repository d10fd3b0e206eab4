"""``rmi`` and ``image prune``: what is untagged, what is deleted, and what stands against it, as in Docker.

A name given: that name goes; the image goes with its last name, or stays without one while a child or a
running container needs it. An id given: the image goes with all its names, if they are of one repository. A
running container and a child image always stand against deletion; a stopped container and names in several
repositories do unless forced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from wharfie.images import filters as rules
from wharfie.images import reference
from wharfie.images.image import ContainerUse, ImageInUse, Pruned
from wharfie.support.faults import point
from wharfie.support.ids import short_id

if TYPE_CHECKING:
    from wharfie.images.store import ImageStore

InUse = Callable[[str], list[ContainerUse]]
Records = list[dict[str, str]]


class _Obstacle(ImageInUse):
    """Why an image cannot be deleted."""

    def __init__(self, image_id: str, reason: str, *, hard: bool, used: bool) -> None:
        how = "cannot be forced" if hard else "must be forced"
        super().__init__(f"conflict: unable to delete {short_id(image_id)} ({how}) - {reason}")
        self.used = used


class _Removal:
    def __init__(self, store: ImageStore, in_use: InUse) -> None:
        self._catalog = store.catalog
        self._in_use = in_use
        self.records: Records = []

    def names(self, image_id: str) -> list[tuple[reference.Reference, bool]]:
        return [(reference.parse(name), tagged) for name, tagged in self._catalog.names(image_id)]

    def single(self, image_id: str) -> bool:
        """Whether there is at most one tag, and all names are of one repository."""
        names = self.names(image_id)
        return sum(tagged for _, tagged in names) <= 1 and len({name.name for name, _ in names}) <= 1

    def untag(self, name: reference.Reference) -> None:
        self._catalog.drop_name(name.canonical)
        point("a name is gone")
        self.records.append({"Untagged": name.familiar})

    def obstacle(self, image_id: str, *, soft: bool, names: bool) -> _Obstacle | None:
        if self._catalog.children(image_id):
            return _Obstacle(image_id, "image has dependent child images", hard=True, used=False)
        uses = self._in_use(image_id)
        for use in uses:
            if use.running:
                reason = f"image is being used by running container {short_id(use.id)}"
                return _Obstacle(image_id, reason, hard=True, used=True)
        if names and not self.single(image_id):
            reason = "image is referenced in multiple repositories"
            return _Obstacle(image_id, reason, hard=False, used=False)
        if soft and uses:
            reason = f"image is being used by stopped container {short_id(uses[0].id)}"
            return _Obstacle(image_id, reason, hard=False, used=True)
        return None

    def delete(self, image_id: str, *, force: bool, prune: bool, quiet: bool) -> None:
        """An image; with ``prune`` also those without a name that it was committed from, one by one."""
        parent = self._delete(image_id, force=force, quiet=quiet)
        while prune and parent and self._catalog.image(parent) and not self.names(parent):
            parent = self._delete(parent, force=False, quiet=True)

    def _delete(self, image_id: str, *, force: bool, quiet: bool) -> str:
        """The id of its parent, if it is gone and has one."""
        obstacle = self.obstacle(image_id, soft=not force, names=not force)
        if obstacle is not None:
            dangling = not self.names(image_id) and not self._catalog.children(image_id)
            if quiet and (not dangling or obstacle.used):
                return ""
            raise obstacle
        row = self._catalog.image(image_id)
        if row is None:
            return ""
        for name, _ in self.names(image_id):
            self.untag(name)
        chains = [layer.chain for layer in reversed(self._catalog.layers(image_id))]
        self._catalog.drop_image(image_id, ghost=bool(self._in_use(image_id)))
        point("an image's row is gone")
        self.records.append({"Deleted": image_id})
        for chain in chains:
            if not self._catalog.chain_used(chain):
                self.records.append({"Deleted": chain})
        return row.parent


def remove(store: ImageStore, ref: str, *, force: bool, prune: bool, in_use: InUse) -> Records:
    """Remove a name or an image; what was done, in order. Raises ImageInUse, ImageNotFound."""
    row, named = store.find(ref)
    work = _Removal(store, in_use)
    with store.catalog.db.transaction():
        if named is not None:
            if not force and work.single(row.id):
                _refuse_last_name(row.id, ref, in_use(row.id))
            work.untag(named)
            names = work.names(row.id)
            if named.tag and not any(tagged and name.name == named.name for name, tagged in names):
                # the last tag of a repository takes the digests along
                for name, _ in names:
                    if name.name == named.name:
                        work.untag(name)
            if not work.names(row.id):
                work.delete(row.id, force=force, prune=prune, quiet=True)
        else:
            if work.single(row.id):
                obstacle = work.obstacle(row.id, soft=not force, names=False)
                if obstacle is not None:
                    raise obstacle
            work.delete(row.id, force=force, prune=prune, quiet=False)
        garbage = store.catalog.collect()
        point("rmi: the rows are gone")
    point("rmi: the transaction is over")
    store.discard(garbage)
    return work.records


def _refuse_last_name(image_id: str, ref: str, uses: list[ContainerUse]) -> None:
    for use in uses:
        raise ImageInUse(
            f'conflict: unable to remove repository reference "{ref}" (must force) - container '
            f"{short_id(use.id)} is using its referenced image {short_id(image_id)}"
        )


def prune(store: ImageStore, filters: rules.Filters, in_use: InUse) -> Pruned:
    """Remove what nothing needs: untagged images, or with ``dangling=false`` all that no container uses."""
    rules.check(filters, rules.PRUNING)
    dangling_only = rules.flag(filters, "dangling", True)
    records: Records = []
    freed = store.collect(in_use)
    for image in store.images():
        if dangling_only and image.repo_tags:
            continue
        if in_use(image.id) or not rules.has_labels(image, filters) or not rules.older_than(image, filters):
            continue
        work = _Removal(store, in_use)
        try:
            with store.catalog.db.transaction():
                work.delete(image.id, force=True, prune=False, quiet=False)
                garbage = store.catalog.collect()
                point("prune: the rows of an image are gone")
        except ImageInUse:
            continue  # a child needs it
        point("prune: the transaction is over")
        records += work.records
        freed += store.discard(garbage)
    return Pruned(records, freed)
