"""What is built and how: the table is whole, the module files are right, the words are honest."""

from pathlib import Path

import pytest

from paddock.local import builds
from paddock.local.builds import COMPONENTS, build_words, disk_refusal, go_mod, staging_modules
from paddock.local.progress import Quiet

KUBERNETES = """module k8s.io/kubernetes

replace (
	k8s.io/api => ./staging/src/k8s.io/api
	k8s.io/kube-proxy => ./staging/src/k8s.io/kube-proxy
	example.org/other => example.org/fork v1.0.0
)
"""


def test_every_component_is_pinned_and_named_by_its_key() -> None:
    assert all(name == each.name for name, each in COMPONENTS.items())
    assert all(each.version.startswith("v") and each.expected > 0 for each in COMPONENTS.values())
    assert {each.version for each in COMPONENTS.values() if each.staging} == {"v1.36.3"}


def test_module_file_pins_the_staging_modules_beside_their_parent() -> None:
    staging = staging_modules(KUBERNETES)
    assert staging == ["k8s.io/api", "k8s.io/kube-proxy"]
    assert go_mod(COMPONENTS["kubelet"], staging) == (
        "module paddock.local/kubelet\n"
        "go 1.26.0\n"
        "require k8s.io/kubernetes v1.36.3\n"
        "replace k8s.io/api => k8s.io/api v0.36.3\n"
        "replace k8s.io/kube-proxy => k8s.io/kube-proxy v0.36.3\n"
    )


def test_words_tell_this_build_and_the_rest() -> None:
    runc, coredns = COMPONENTS["runc"], COMPONENTS["coredns"]
    assert build_words(runc, [runc]) == "building v1.5.2, about 30 s"
    assert build_words(coredns, [coredns, runc]).endswith("; 2 programs to build, about 6 min")


def test_built_components_are_only_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "paddock" / "bin" / "runc-v1.5.2"
    folder.mkdir(parents=True)
    assert builds.ensure(["runc"], Quiet()) == {"runc": folder}
    assert list((tmp_path / "paddock").iterdir()) == [tmp_path / "paddock" / "bin"]


def test_full_disk_is_refused_with_both_sizes() -> None:
    assert disk_refusal(3, 50) is None
    assert disk_refusal(10, 3.2) == "Building 10 programs needs 12 GB, 3.2 GB are free"
