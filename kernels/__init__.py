"""Block programs: the numerical kernels, each written once and compiled for the CPU, CUDA and the CUDA simulator.

A block program is the code of one thread block that owns one replica (or one frame). It takes
``(thread, n_threads)`` and plain arrays, strides its loops by ``n_threads`` and separates its
phases by barriers. ``launch`` holds the entry points; nothing here allocates memory.
"""
