"""Where our answers, as Docker's own, go beyond what is published, each with its reason: to be reviewed.

Everything here was looked at one by one. What is not here and deviates fails the tests by name.
"""

from __future__ import annotations

LOOSENED: dict[str, tuple[str, ...]] = {
    # Docker's own answers have null here: a pointer that was not given, a process that has not ended
    "Resources.MemorySwappiness": ("null",),
    "ExecInspectResponse.ExitCode": ("null",),
}
"""Property of the schema to what is allowed there besides."""

_SWARM = "exists inside a swarm only"
_PLUGIN = "there are no plugins here"
_STORE = "Docker's image store on containerd has it; ours, as its graph drivers, has not"
_UNSET = "Docker leaves it out where it has no value, and here it has none"


def _each(reason: str, names: str, tail: str = "") -> dict[str, str]:
    return dict.fromkeys([name + tail for name in names.split()], reason)


_OF_SWARMS = """
ClusterInfo ClusterVolume ClusterVolume.Info ClusterVolume.PublishStatus[] ClusterVolumeSpec
ClusterVolumeSpec.AccessMode ClusterVolumeSpec.AccessMode.AccessibilityRequirements
ClusterVolumeSpec.AccessMode.CapacityRange ClusterVolumeSpec.AccessMode.Secrets[] ObjectVersion PeerInfo
PeerNode SwarmSpec SwarmSpec.CAConfig SwarmSpec.CAConfig.ExternalCAs[] SwarmSpec.Dispatcher
SwarmSpec.EncryptionConfig SwarmSpec.Orchestration SwarmSpec.Raft SwarmSpec.TaskDefaults
SwarmSpec.TaskDefaults.LogDriver TLSInfo Topology GenericResources[]
GenericResources[].DiscreteResourceSpec GenericResources[].NamedResourceSpec
"""
_OF_PLUGINS = """
Plugin Plugin.Config Plugin.Config.Args Plugin.Config.Interface Plugin.Config.Linux Plugin.Config.Network
Plugin.Config.User Plugin.Config.rootfs Plugin.Settings PluginDevice PluginEnv PluginInterfaceType
PluginMount PluginPrivilege
"""
_OF_CONTAINERD = """
ImageManifestSummary.* ImageManifestSummary.AttestationData.* ImageManifestSummary.ImageData.*
ImageManifestSummary.ImageData.Size.* ImageManifestSummary.Size.* ImageInspect.Descriptor
ImageInspect.Manifests ImageSummary.Descriptor ImageSummary.Manifests
ContainerInspectResponse.ImageManifestDescriptor ContainerSummary.ImageManifestDescriptor
"""
_WITHOUT_A_VALUE = """
BuildCache.Parents ImageInspect.OsVersion ImageInspect.Variant OCIDescriptor.annotations
OCIDescriptor.artifactType OCIDescriptor.data OCIDescriptor.platform OCIDescriptor.urls
OCIPlatform.os.features OCIPlatform.os.version OCIPlatform.variant Runtime.runtimeArgs
SystemInfo.DefaultAddressPools SystemInfo.DefaultAddressPools[].* SystemInfo.ProductLicense
FirewallInfo.Info SystemVersion.BuildTime SystemVersion.Experimental Volume.Status
ContainerWaitExitError.Message ContainerWaitResponse.Error HostConfig.StorageOpt
ContainerMemoryStats.failcnt ImageConfig.ArgsEscaped
"""
_OF_WINDOWS = """
ContainerMemoryStats.commitbytes ContainerMemoryStats.commitpeakbytes
ContainerMemoryStats.privateworkingset ContainerNetworkStats.endpoint_id
ContainerNetworkStats.instance_id ContainerStorageStats.*
"""
ABSENT: dict[str, str] = {
    **_each(_SWARM, _OF_SWARMS, ".*"),
    **_each(
        _SWARM, "Network.Peers SwarmInfo.Cluster SwarmInfo.Managers SwarmInfo.Nodes Volume.ClusterVolume"
    ),
    **_each(_PLUGIN, _OF_PLUGINS, ".*"),
    **_each(_STORE, _OF_CONTAINERD),
    **_each(_UNSET, _WITHOUT_A_VALUE),
    **_each("of Windows", _OF_WINDOWS),
    "Address.*": "of fields that Docker has deprecated and leaves empty",
    "ContainerBlkioStatEntry.*": "the kernel lists devices only after there was input or output",
    "Resources.BlkioWeightDevice[].*": "of kernels that weigh block devices",
    "Resources.KernelMemoryTCP": "Docker leaves it out where it is not asked for, and kernels ignore it",
    "SystemInfo.KernelMemoryTCP": "Docker leaves it out where there is no support for it",
    "SystemInfo.Containerd": "there is no containerd here",
    "ContainerdInfo.*": "there is no containerd here",
    "ContainerdInfo.Namespaces.*": "there is no containerd here",
    "SystemInfo.DiscoveredDevices": "no devices are described by CDI here",
    "DeviceInfo.*": "no devices are described by CDI here",
    "DeviceRequest.*": "devices of drivers (GPUs) are refused here",
}
"""Documented field (``Definition.Field``, or ``Definition.*`` for all of one) to why it never comes."""

UNDOCUMENTED: dict[str, str] = {}
"""Field that is sent and not documented, to why."""

UNCALLED: dict[str, str] = {
    "Session": "the connection that BuildKit's clients make; it has tests of its own",
}
"""Operations that are called elsewhere."""

UNSUCCESSFUL: dict[str, str] = {
    "VolumeUpdate": _SWARM,
    "GetPluginPrivileges": _PLUGIN,
    "PluginPull": _PLUGIN,
    "PluginCreate": _PLUGIN,
    "PluginInspect": _PLUGIN,
    "PluginDelete": _PLUGIN,
    "PluginEnable": _PLUGIN,
    "PluginDisable": _PLUGIN,
    "PluginPush": _PLUGIN,
    "PluginSet": _PLUGIN,
    "PluginUpgrade": _PLUGIN,
}
"""Operations that cannot succeed on this engine."""

UNPROVOKED: dict[tuple[str, int], str] = {
    ("ImagePush", 404): "the answer has begun by then: the error is in its stream, as Docker's",
    ("ImageTag", 409): "Docker moves a tag that is in use, and so do we",
    ("VolumeUpdate", 400): "the swarm is missing first, as with Docker",
    ("VolumeUpdate", 404): "the swarm is missing first, as with Docker",
}
"""Documented statuses that nothing leads to, here or in Docker."""
