"""A small image of busybox and a C library, so that node tests need no engine and no registry."""

from pathlib import Path

from paddock.local import debian
from paddock.local.images.oci import Image, write_archive, write_layer

SMALL_IMAGE = "localhost/paddock/busybox:1"


def small_image_archive(folder: Path) -> Path:
    """Write the image's archive into a folder and return it."""
    root = debian.tools("busybox", ["busybox"]).root
    layer = write_layer(folder / "layer.tar", [(root, "")])
    archive = folder / "busybox.tar"
    write_archive(Image(SMALL_IMAGE, (layer,), ("/bin/busybox",)), archive)
    return archive
