"""Numbers out of a page in Prometheus' text format. Pure."""


def total(page: str, name: str) -> float:
    """Return the sum of all samples of a metric; raise ValueError where the page has none."""
    found = [
        float(line.rsplit(" ", 1)[1])
        for line in page.splitlines()
        if line.startswith((f"{name} ", f"{name}{{"))
    ]
    if not found:
        raise ValueError(f"there is no metric {name}")
    return sum(found)
