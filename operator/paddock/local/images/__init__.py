"""Images with no registry: assembled from Debian packages, wheels and our own binaries."""
