"""The program of the pull Job: brings one model's files into a volume, verified.

It has no Kubernetes access and no service account; it is the only part that fetches a user's URL.
Imports `api`, `names` and `errors` only.
"""
