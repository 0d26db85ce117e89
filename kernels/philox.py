"""Philox 4x32-10: random numbers that are a function of their address, so that no thread keeps a state.

J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC '11, doi:10.1145/2063384.2063405. A counter of
four and a key of two 32-bit words give four random 32-bit words. Words are held in int64, in which plain Python, the
CPU and CUDA agree on every bit. Normals take the target's own logarithm, sine and cosine, which on CUDA may differ from
the CPU's in the last bit.
"""

import math

from .targets import block_program

WORD = 0xFFFFFFFF
MULTIPLIER_0, MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
KEY_STEP_0, KEY_STEP_1 = 0x9E3779B9, 0xBB67AE85  # the golden ratio and sqrt(3) - 1, as fractions of 2^32
N_ROUNDS = 10
ULP = 2.0**-53


@block_program
def philox(c0, c1, c2, c3, k0, k1):
    """Four random words from the counter (c0, c1, c2, c3) and the key (k0, k1).

    A product may be too large for int64: compiled code wraps it, plain Python does not; the masks take the same bits.
    """
    for _ in range(N_ROUNDS):
        product_0, product_1 = MULTIPLIER_0 * c0, MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (
            ((product_1 >> 32) & WORD) ^ c1 ^ k0,
            product_1 & WORD,
            ((product_0 >> 32) & WORD) ^ c3 ^ k1,
            product_0 & WORD,
        )
        k0, k1 = (k0 + KEY_STEP_0) & WORD, (k1 + KEY_STEP_1) & WORD
    return c0, c1, c2, c3


@block_program
def unit_interval(high, low):
    """A float64 in [0, 1) from two random words: a multiple of 2^-53, each equally likely."""
    return ((high >> 5) * 67108864.0 + (low >> 6)) * ULP


@block_program
def uniform_pair(c0, c1, c2, c3, seed):
    """Two independent uniforms in [0, 1) from a counter and the 64-bit `seed`."""
    w0, w1, w2, w3 = philox(c0, c1, c2, c3, seed & WORD, (seed >> 32) & WORD)
    return unit_interval(w0, w1), unit_interval(w2, w3)


@block_program
def normal_pair(c0, c1, c2, c3, seed):
    """Two independent standard normals from a counter and the 64-bit `seed` (Box and Muller, 1958)."""
    u, v = uniform_pair(c0, c1, c2, c3, seed)
    radius = math.sqrt(-2.0 * math.log(1.0 - u))  # 1 - u lies in (0, 1], so the logarithm is finite
    angle = 2.0 * math.pi * v
    return radius * math.cos(angle), radius * math.sin(angle)
