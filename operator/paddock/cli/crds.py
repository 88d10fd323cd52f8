"""`paddock crds`: print the two CustomResourceDefinitions, write them, or check what is written.

I/O only; what they are is decided in `api.crds`.
"""

import sys
from pathlib import Path

import click
import yaml

from paddock.api.crds import build_inference_pool_crd, build_local_model_crd
from paddock.wire import Manifest

HEADER = "# Generated from operator/paddock/api by `paddock crds --write crds`; do not edit.\n"


def render_crds() -> dict[str, str]:
    """Return the text of each generated file by its name."""
    crds: tuple[Manifest, ...] = (build_local_model_crd(), build_inference_pool_crd())
    return {
        f"paddock.dev_{plural}.yaml": HEADER + yaml.safe_dump(crd, sort_keys=False, width=100)
        for plural, crd in zip(("localmodels", "inferencepools"), crds, strict=True)
    }


@click.command("crds")
@click.option("--write", "folder", type=click.Path(path_type=Path), help="Write into this folder.")
@click.option("--check", type=click.Path(path_type=Path), help="Fail if this folder is stale.")
def crds(folder: Path | None, check: Path | None) -> None:
    """Print the two CustomResourceDefinitions."""
    files = render_crds()
    if check is not None:
        stale = [name for name, text in files.items() if _text(check / name) != text]
        if stale:
            click.echo(f"stale: {', '.join(stale)}; run `paddock crds --write {check}`", err=True)
            sys.exit(1)
        return
    if folder is None:
        click.echo("---\n".join(files.values()), nl=False)
        return
    for name, text in files.items():
        (folder / name).write_text(text)


def _text(path: Path) -> str | None:
    return path.read_text() if path.exists() else None
