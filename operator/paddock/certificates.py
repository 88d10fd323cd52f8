"""What is known of a gateway's certificate: frozen records of what everybody is shown. Pure data.

Nothing here is of the key: nobody but Envoy reads it.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate."""

    serial: int
    until: datetime
    """When it expires."""


@dataclass(frozen=True, slots=True)
class CertificateReport:
    """What one Envoy shows to its callers, and what its Secret's files hold."""

    served: Certificate | None = None
    mounted: Certificate | None = None
    """None where the file holds no certificate."""

    @property
    def is_taken(self) -> bool:
        """Tell whether Envoy serves what its Secret holds."""
        return self.served is not None and self.served == self.mounted
