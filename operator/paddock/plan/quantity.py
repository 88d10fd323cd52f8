"""Kubernetes quantities as numbers: 1000m is 1, 1Gi is 1024Mi. Pure."""

from decimal import Decimal, InvalidOperation

from paddock.wire import Json

GIBI, MEBI = 1 << 30, 1 << 20
_UNITS = {
    "m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "P": Decimal(10**15), "Ki": Decimal(2**10), "Mi": Decimal(2**20),
    "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50),
}  # fmt: skip


def quantity(value: Json) -> Decimal | None:
    """Return the number a quantity stands for, or None if it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value)
    for unit in sorted(_UNITS, key=len, reverse=True):
        if text.endswith(unit):
            return _decimal(text.removesuffix(unit), _UNITS[unit])
    return _decimal(text, Decimal(1))


def bytes_of(value: str | int) -> int:
    """Return a memory or storage quantity in bytes; 0 if it cannot be read."""
    return int(quantity(value) or 0)


def _decimal(text: str, factor: Decimal) -> Decimal | None:
    try:
        return Decimal(text) * factor
    except InvalidOperation:
        return None
