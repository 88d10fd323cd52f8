"""The two kinds as pydantic models, their CRDs, and the words users see: pure."""
