"""The sandbox image: one static program that waits, and collects orphans of its pod."""

from pathlib import Path

from paddock.local import debian
from paddock.local.folders import cache_folder
from paddock.local.images.oci import Image, write_archive, write_layer
from paddock.local.processes import run
from paddock.local.toolchain import go_command

PAUSE_IMAGE = "localhost/paddock/pause:1"
_PROGRAM = """package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if pid <= 0 || err != nil {
				break
			}
		}
	}
}
"""


def pause_archive() -> Path:
    """Return the archive of the sandbox image, building it once."""
    final = cache_folder() / "images" / "pause-1.tar"
    if not final.exists():
        with debian.scratch("pause") as folder:
            (folder / "main.go").write_text(_PROGRAM)
            run(
                [go_command(), "build", "-trimpath", "-ldflags", "-s -w", "-o", "pause", "main.go"],
                cwd=folder,
                env={"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"},
            )
            layer = write_layer(folder / "layer.tar", [(folder / "pause", "pause")])
            write_archive(Image(PAUSE_IMAGE, (layer,), ("/pause",)), folder / "pause.tar")
            final.parent.mkdir(parents=True, exist_ok=True)
            (folder / "pause.tar").rename(final)
    return final
