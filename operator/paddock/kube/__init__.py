"""The apiserver behind one protocol: the only place raw requests are made.

Above `plan` and `status`, below `apply` and `observe`. Decides nothing.
"""
