"""What a stage has become so far: layers, configuration, history."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from wharfie.build.configure import Configuration
from wharfie.images import config as configs
from wharfie.images.image import Image
from wharfie.images.layers import Layer
from wharfie.images.platform import Platform
from wharfie.support.units import format_time

COMMENT = "buildkit.dockerfile.v0"


@dataclass(slots=True)
class StageState:
    """One stage while it is built, and when it is done."""

    platform: Platform
    configuration: Configuration
    layers: list[Layer] = field(default_factory=list)
    history: list[configs.HistoryEntry] = field(default_factory=list)
    base: configs.ImageConfig | None = None
    created: int = 0
    """Nanoseconds, of the last step."""
    arguments: dict[str, str] = field(default_factory=dict)
    """Build arguments that were declared so far."""

    @classmethod
    def from_image(cls, image: Image, layers: list[Layer], platform: Platform) -> StageState:
        """``FROM image``."""
        found = cls(platform, Configuration(image.config, given=True), list(layers))
        found.history = list(image.document.history or ())
        found.base = image.document
        found.created = image.created_unix * 10**9
        return found

    @classmethod
    def scratch(cls, platform: Platform) -> StageState:
        """``FROM scratch``."""
        return cls(platform, Configuration(configs.RunConfig(working_dir="/"), given=False))

    def child(self) -> StageState:
        """``FROM stage``."""
        configuration = Configuration(self.configuration.run, given=True)
        configuration.author = self.configuration.author
        return StageState(
            self.platform, configuration, list(self.layers), list(self.history), self.base, self.created,
            dict(self.arguments),
        )  # fmt: skip

    @property
    def chain(self) -> str:
        """A name for the layers so far."""
        chains = configs.chain_ids([layer.diff_id for layer in self.layers])
        return chains[-1] if chains else ""

    def step(self, created_by: str, layer: Layer | None, created: int) -> None:
        """An instruction was done."""
        if layer is not None:
            self.layers.append(layer)
        self.created = created
        self.history.append(
            configs.HistoryEntry(
                created=format_time(created),
                created_by=created_by,
                comment=COMMENT,
                empty_layer=layer is None,
            )
        )

    def document(self) -> bytes:
        """The image's configuration."""
        base = self.base or configs.ImageConfig()
        return configs.encode(
            msgspec.structs.replace(
                base,
                architecture=self.platform.architecture,
                os=self.platform.os,
                variant=self.platform.variant,
                created=format_time(self.created),
                author=self.configuration.author or base.author,
                comment="",
                docker_version="",
                parent="",
                config=self.configuration.run,
                rootfs=configs.RootFS(diff_ids=[layer.diff_id for layer in self.layers]),
                history=self.history,
            )
        )
