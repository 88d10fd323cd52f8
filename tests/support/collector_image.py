"""The image of the Collector that a node runs: the program of the tests, and nothing else."""

from pathlib import Path

from paddock.local.images.oci import Image, write_archive, write_layer
from paddock.local.progress import Lines
from support.collector_build import VERSION, ensure_collector

COLLECTOR_IMAGE = f"localhost/paddock/collector:{VERSION}"


def collector_image_archive(folder: Path) -> Path:
    """Write the image's archive into a folder and return it."""
    layer = write_layer(folder / "layer.tar", [(ensure_collector(Lines()), "otelcol")])
    archive = folder / "collector.tar"
    write_archive(Image(COLLECTOR_IMAGE, (layer,), ("/otelcol",)), archive)
    return archive
