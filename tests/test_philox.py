"""Random numbers: Philox against its authors' known answers, its uniforms and normals against their distributions."""

import numpy as np
import pytest
from scipy import stats

from gputhermo.kernels.philox import normal_pair, philox, uniform_pair, unit_interval

ALL_ONES = 0xFFFFFFFF
# Lines "philox4x32 10" of kat_vectors in Random123 1.14 (D. E. Shaw Research): counter, key, answer.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ALL_ONES,) * 4, (ALL_ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_known_answers(counter, key, answer):
    assert philox(*counter, *key) == answer


def test_simulator_gives_the_same_numbers(simulator):
    script = """
from gputhermo.kernels.philox import normal_pair, philox
for counter, key, answer in %r:
    assert philox(*counter, *key) == answer, (counter, key)
for i in range(100):
    print(*(value.hex() for value in normal_pair(i, 1, 2, 3, 2**63 - 1)))
"""
    expected = [normal_pair(i, 1, 2, 3, 2**63 - 1) for i in range(100)]
    printed = simulator(script % KNOWN_ANSWERS).splitlines()
    assert [tuple(map(float.fromhex, line.split())) for line in printed] == expected


def test_unit_interval_has_53_bits_and_leaves_out_one():
    assert unit_interval(0, 0) == 0.0
    assert unit_interval(0, 1 << 6) == 2.0**-53
    assert unit_interval(1 << 5, 0) == 2.0**-27
    assert unit_interval(ALL_ONES, ALL_ONES) == 1.0 - 2.0**-53


@pytest.mark.parametrize(
    ("pair", "distribution"), [(uniform_pair, stats.uniform), (normal_pair, stats.norm)], ids=["uniform", "normal"]
)
@pytest.mark.parametrize("word", range(4))
def test_distribution_along_each_counter_word(pair, distribution, word):
    counters = np.zeros((50_000, 4), dtype=np.int64)
    counters[:, word] = np.arange(len(counters))
    a, b = np.array([pair(*counter, 2024) for counter in counters]).T
    for values in (a, b):
        assert stats.kstest(values, distribution.cdf).pvalue > 1e-3
    # Neither the two of a pair nor neighbours along the counter know of each other.
    for x, y in ((a, b), (a[1:], a[:-1]), (a[1:], b[:-1])):
        assert stats.spearmanr(x, y).pvalue > 1e-3


def test_tails_of_the_normals():
    values = np.abs([normal_pair(i, 0, 0, 0, 5) for i in range(200_000)])
    for limit in (3.0, 4.0):
        expected = values.size * 2.0 * stats.norm.sf(limit)
        assert abs(np.sum(values > limit) - expected) < 4.0 * np.sqrt(expected)


def test_every_part_of_the_address_counts():
    addresses = [(0, 0, 0, 0, 0), (1, 0, 0, 0, 0), (0, 1, 0, 0, 0), (0, 0, 1, 0, 0), (0, 0, 0, 1, 0), (0, 0, 0, 0, 1)]
    addresses.append((0, 0, 0, 0, 1 << 32))  # the key's other word
    assert len({uniform_pair(*address) for address in addresses}) == len(addresses)
