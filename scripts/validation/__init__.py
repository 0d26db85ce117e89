"""Studies of the physics: one a file, each with `measure`, `checks` of what was measured and `draw`.

`scripts/validate_physics.py` runs them at full length, `tests/test_physics.py` with fewer replicas.
"""
