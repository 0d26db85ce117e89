"""The parts of benchmark_throughput.py: the engine, the way from simulation to training, and the tables."""
