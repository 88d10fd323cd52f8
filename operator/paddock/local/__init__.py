"""A real Kubernetes on this machine, for `paddock up` and for the tests.

Real binaries as processes: built from Go modules once into a cache, started in namespaces of their
own, and gone without a trace after `down`. Used by `cli` and by tests, never by the operator.
"""
