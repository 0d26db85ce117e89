"""Race this package against what else steps the same gas: LAMMPS, OpenMM, JAX-MD, in one run.

    python scripts/compare_peers.py [--quick] [--json FILE] [--plot FILE]

    pip install -c constraints.txt '.[peers]'    # brings all of them

Each state point is a gas of N particles in Lx x L after a short hold, with the piston at rest. All start from the same
states, with the same laws and time step. docs/peers.md tells how each is set to its best and how physics is checked.

one core   one replica on one core; processor time of a unit of time, 1000 steps
all cores  several replicas, in processes side by side or on threads of one, whichever is better; time on the wall of
           a unit of time of one replica

Programs take turns, so that a change in the machine's speed meets all of them; figures are medians over the rounds, and
their spread is (largest - smallest) / median. Start and compilation are in `first_call_seconds` and in nothing else.
"""

import sys

if __name__ == "__main__":  # the processes of the race import this file too, and need nothing of it
    from peers.command import main

    sys.exit(main(__doc__ or ""))
