"""What an account asked of the apiserver, by the apiserver's own audit log."""

from paddock.local.control_plane import AuditRecord, ControlPlane

CREATED = 201


def used_by(plane: ControlPlane, user: str) -> list[AuditRecord]:
    return [record for record in plane.audit() if record.user == user and record.resource]


def rights_used(records: list[AuditRecord]) -> set[tuple[str, str, str]]:
    """Return verb, group and resource of each request; an apply that makes needs create too."""
    used: set[tuple[str, str, str]] = set()
    for record in records:
        subresource = f"/{record.subresource}" if record.subresource else ""
        used.add((record.verb, record.group, f"{record.resource}{subresource}"))
        if record.verb == "patch" and record.code == CREATED:
            used.add(("create", record.group, record.resource))
    return used
