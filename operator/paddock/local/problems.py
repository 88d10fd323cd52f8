"""What can keep a cluster from existing on this machine, said in one sentence each."""


class LocalError(Exception):
    """The machine cannot do what was asked; the message says why and what to do."""
