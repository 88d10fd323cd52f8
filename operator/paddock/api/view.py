"""What the operator tells the init container that lays one Ollama store over several claims.

Pure records; the plan goes in one environment variable and holds nothing secret.
"""

from paddock.api.base import Record

VIEW_VARIABLE = "PADDOCK_VIEW"


class ViewModel(Record):
    """One model of the view: where it lies, and how it is to be found there."""

    name: str
    """Its name in its own store."""
    store: str
    """The store's folder in the pod."""
    served_as: str
    context_length: int | None = None


class ViewPlan(Record):
    """One view."""

    models: tuple[ViewModel, ...]
