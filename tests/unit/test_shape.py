"""The shape of the project: layers point downwards, budgets hold, the root holds what it may."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "operator" / "paddock"
MAX_LINES, MAX_FUNCTION, MAX_PARAMETERS, MIN_PURE_SHARE = 400, 60, 7, 0.45
LEAVES = {"callers", "certificates", "names", "errors", "settings", "clock", "wire", "raw"}
LAYERS = (
    {"__main__", "cli"},
    {"lean"},
    {"run"},
    {"handlers", "health", "resync", "supervisor"},
    {"queue", "passes", "lease", "routes"},
    {"reconcile"},
    {"gateways"},
    {"apply", "observe", "telemetry"},
    {"kube"},
    {"plan", "status"},
    {"kinds"},
    {"facts"},
    {"api"},
    LEAVES,
)
"""Upper rows import lower rows, or their own."""
ASIDE = {
    "puller": {"api", *LEAVES, "puller"},
    "activator": {"api", *LEAVES, "activator"},
    "drainer": {*LEAVES},
    "local": {"*"},
}
PURE = (
    "api",
    "plan",
    "status",
    "facts",
    "callers",
    "certificates",
    "kinds",
    "names",
    "errors",
    "wire",
    "raw",
    "routes",
)
IO_MODULES = {"httpx", "asyncio", "socket", "subprocess", "os", "aiohttp", "kubernetes", "kopf"}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def row_of(part: str) -> int:
    return next(index for index, row in enumerate(LAYERS) if part in row)


def part_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own_parts(file: Path) -> set[str]:
    names = {name.split(".")[1] for name in imports_of(file) if name.startswith("paddock.")}
    return {
        name for name in names if (PACKAGE / name).exists() or (PACKAGE / f"{name}.py").exists()
    }


def test_root_holds_only_what_it_may() -> None:
    allowed = {"pyproject.toml", "operator", "crds", "manifests", "charts", "images", "tests"}
    allowed |= {"README.md", "LICENSE"}
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert found <= allowed


def test_upper_layers_import_lower_layers_only() -> None:
    wrong = []
    for file in sources():
        part = part_of(file)
        if part == "__init__":
            continue
        for other in own_parts(file) - {part}:
            if part in ASIDE:
                allowed = "*" in ASIDE[part] or other in ASIDE[part]
            elif other in ASIDE:
                allowed = part == "cli" and other == "local"
            else:
                allowed = row_of(part) <= row_of(other)
            if not allowed:
                wrong.append(f"{file.relative_to(PACKAGE)} imports {other}")
    assert wrong == []


def test_only_the_watch_layer_imports_kopf() -> None:
    users = {part_of(file) for file in sources() if "kopf" in imports_of(file)}
    assert users == {"handlers"}


def test_pure_parts_import_nothing_that_reaches_outside() -> None:
    wrong = [
        f"{file.relative_to(PACKAGE)} imports {name}"
        for file in sources()
        if part_of(file) in PURE
        for name in imports_of(file)
        if name.split(".")[0] in IO_MODULES
    ]
    assert wrong == []


def test_pure_parts_never_await() -> None:
    wrong = [
        str(file.relative_to(PACKAGE))
        for file in sources()
        if part_of(file) in PURE
        and any(
            isinstance(node, ast.AsyncFunctionDef) for node in ast.walk(ast.parse(file.read_text()))
        )
    ]
    assert wrong == []


def test_files_and_functions_keep_their_budgets() -> None:
    wrong = []
    for file in [*sources(), *sorted((ROOT / "tests").rglob("*.py"))]:
        text = file.read_text()
        if len(text.splitlines()) > MAX_LINES:
            wrong.append(f"{file.name} has {len(text.splitlines())} lines")
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            length = (node.end_lineno or 0) - node.lineno + 1
            if length > MAX_FUNCTION:
                wrong.append(f"{file.name}:{node.name} has {length} lines")
            arguments = [*node.args.args, *node.args.kwonlyargs]
            count = len([each for each in arguments if each.arg != "self"])
            is_command = any("click" in ast.dump(each) for each in node.decorator_list)
            if count > MAX_PARAMETERS and not is_command:
                wrong.append(f"{file.name}:{node.name} has {count} parameters")
    assert wrong == []


def test_every_suppression_names_its_rule_and_reason() -> None:
    wrong = [
        f"{file.name}:{number}"
        for file in sources()
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if re.search(r"# (noqa|type: ignore)", line)
        and not re.search(r"# (noqa: [A-Z0-9, ]+ - |type: ignore\[[a-z-]+\]  # )\w", line)
    ]
    assert wrong == []


def test_every_module_says_what_it_is() -> None:
    silent = [file.name for file in sources() if not ast.get_docstring(ast.parse(file.read_text()))]
    assert silent == []


def test_nothing_builds_a_shell_string() -> None:
    wrong = [
        f"{file.name}:{node.lineno}"
        for file in sources()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.keyword) and node.arg == "shell"
    ]
    assert wrong == []
    assert not any("os.system" in file.read_text() for file in sources())


def test_much_of_the_operator_is_pure() -> None:
    operator = [file for file in sources() if part_of(file) not in {*ASIDE, "cli"}]
    lines = {file: len(file.read_text().splitlines()) for file in operator}
    pure = sum(count for file, count in lines.items() if part_of(file) in PURE)
    assert pure / sum(lines.values()) >= MIN_PURE_SHARE
