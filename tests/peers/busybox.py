"""A root filesystem small enough to import everywhere: busybox, its applets and a passwd file."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n"
GROUP = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"


def tarball() -> bytes:
    """The tar archive, the same bytes each time."""
    program = Path("/bin/busybox").read_bytes()
    applets = subprocess.run(
        ["/bin/busybox", "--list"], check=True, capture_output=True, text=True
    ).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for directory in ("bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr", "var"):
            entry = tarfile.TarInfo(directory)
            entry.type = tarfile.DIRTYPE
            entry.mode = 0o1777 if directory == "tmp" else 0o755
            archive.addfile(entry)
        for name, content, mode in (
            ("bin/busybox", program, 0o755),
            ("etc/passwd", PASSWD.encode(), 0o644),
            ("etc/group", GROUP.encode(), 0o644),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = mode
            archive.addfile(entry, io.BytesIO(content))
        for applet in applets:
            if applet != "busybox":
                entry = tarfile.TarInfo(f"bin/{applet}")
                entry.type = tarfile.LNKTYPE
                entry.linkname = "bin/busybox"
                entry.mode = 0o755
                archive.addfile(entry)
    return buffer.getvalue()
