"""Images: the discs of one frame, drawn on a fine raster and resampled by the Lanczos filter.

A pixel of the raster is 1 where its centre lies within R of a particle's centre. The raster spans L x L and its row 0
is the top, y = L. It is kept as bits, so that discs can be set in any order, one upon the other. The horizontal pass of
the resampling uses that a row is made of runs of ones: what a run adds to an output pixel is the difference of the
cumulative weights at its two ends, so the cost goes with the edges of the discs and not with the pixels. The vertical
pass follows band by band, while the rows that it reads are still in the cache.
"""

import math
from collections import namedtuple

from numba import cuda

from .forces import RADIUS
from .targets import GROUP, add_difference, barrier, block_program, fetch_or, kernel, lowest_set_bit, maximum, minimum

# Frames: what is drawn, and into what.
#   positions    float32 [n_frames, n, 2]  rows beyond n_particles are padding
#   n_particles  int64   [n_frames]
#   box_length   float   L, the side of the square that the image shows
#   images       uint8   [n_frames, pixels, pixels]  written
Frames = namedtuple("Frames", ["positions", "n_particles", "box_length", "images"])

# Canvas: the workspace; one slot a block, used for one frame after the other. Nothing in it outlives a frame.
#   bits  int64   [n_slots, raster_pixels, ceil(raster_pixels / WORD)]  the raster, lowest bit leftmost
#   rows  float32 [n_slots, n_rows, pixels + REACH]  the last rows of the raster resampled horizontally, and padding;
#                                                    raster row k is row k % n_rows, n_rows >= BAND + n_taps
#   line  float32 [n_slots, pixels]                  one row of the image before rounding
Canvas = namedtuple("Canvas", ["bits", "rows", "line"])
# Raster rows between two barriers.
BAND = 64
# Pixels in a word. Of its 64 bits one is the sign and one is for the carry of `add_runs`; 60 divides 1560.
WORD = 60
ONES = (1 << WORD) - 1
# Output pixels that a piece of a run may enter.
REACH = GROUP

# Lanczos: the weights of one axis, made by gputhermo.resample.
#   edges    float32 [(raster_pixels + 1) 2 REACH]  for each raster pixel k, the weight of all that lie before it in the
#                                                   2 REACH output pixels from passed[k] - REACH on
#   piece    int                    so many raster pixels in a row enter REACH output pixels at most
#   passed   int32   [raster_pixels + 1]  the output pixels that lie left of raster pixel k altogether
#   first    int32   [pixels]             the first raster pixel of an output pixel
#   weights  float32 [pixels, n_taps]     weights from there on, zero-padded to a multiple of TAPS
Lanczos = namedtuple("Lanczos", ["edges", "piece", "passed", "first", "weights"])
# Raster rows that are added to an output row at once.
TAPS = 4


@block_program
def draw(thread, n_threads, frame, slot, frames, canvas, lanczos):
    """Draw frame `frame`. One block owns it. Written: its image, and slot `slot` of the canvas."""
    bits = canvas.bits[slot]
    rows = canvas.rows[slot]
    clear(thread, n_threads, bits)
    barrier()
    set_discs(thread, n_threads, frames.positions[frame], frames.n_particles[frame], frames.box_length, bits)
    barrier()
    resample(thread, n_threads, bits, lanczos, rows, canvas.line[slot], frames.images[frame])


@block_program
def clear(thread, n_threads, bits):
    """Set the raster to zero."""
    n_rows, n_words = bits.shape
    for row in range(thread, n_rows, n_threads):
        for word in range(n_words):
            bits[row, word] = 0


@block_program
def set_discs(thread, n_threads, positions, n_particles, box_length, bits):
    """Set the pixels whose centres lie within R of a particle's centre; what lies outside the image is cut off."""
    n_pixels = bits.shape[0]
    per_length = n_pixels / box_length
    radius = RADIUS * per_length
    for i in range(thread, n_particles, n_threads):
        # In pixels, with the centre of pixel k at k.
        column = float(positions[i, 0]) * per_length - 0.5
        top_down = (box_length - float(positions[i, 1])) * per_length - 0.5
        first_row = maximum(int(math.ceil(top_down - radius)), 0)
        end_row = minimum(int(math.floor(top_down + radius)) + 1, n_pixels)
        for row in range(first_row, end_row):
            half = math.sqrt(maximum(radius * radius - (row - top_down) * (row - top_down), 0.0))
            first = maximum(int(math.ceil(column - half)), 0)
            end = minimum(int(math.floor(column + half)) + 1, n_pixels)
            if first < end:
                set_run(bits, row, first, end)


@block_program
def set_run(bits, row, first, end):
    """Set the pixels [first, end) of one row, up to a word of them at once; these may lie in two words."""
    while first < end:
        stop = minimum(first + WORD, end)
        ones = (1 << (stop - first)) - 1
        word, place = first // WORD, first % WORD
        fetch_or(bits, (row, word), ones << place & ONES)
        if place + stop - first > WORD:
            fetch_or(bits, (row, word + 1), ones >> (WORD - place))
        first = stop


@block_program
def resample(thread, n_threads, bits, lanczos, rows, line, image):
    """Reduce the raster to the image: horizontally a band of rows, then vertically what the rows so far allow."""
    n_raster_rows, n_rows = bits.shape[0], rows.shape[0]
    n_taps = lanczos.weights.shape[1]
    finished = 0
    for band in range(0, n_raster_rows, BAND):
        end = minimum(band + BAND, n_raster_rows)
        for row in range(band + thread, end, n_threads):
            resample_row(bits[row], lanczos, rows[row % n_rows])
        barrier()
        while finished < image.shape[0] and (lanczos.first[finished] + n_taps <= end or end == n_raster_rows):
            resample_columns(thread, n_threads, finished, end - 1, rows, lanczos, line, image)
            finished += 1
        barrier()


@block_program
def resample_row(bits, lanczos, values):
    """Resample one row of the raster: it is the sum of its runs, from left to right.

    Most words are empty. Which are not is found out first, for as many as a number has bits, and without a branch:
    branches that a processor cannot foresee cost more than the sums.
    """
    for column in range(values.shape[0]):
        values[column] = 0.0
    n_words = bits.shape[0]
    for part in range(0, n_words, WORD):
        occupied = 0
        for word in range(part, minimum(part + WORD, n_words)):
            occupied |= int(bits[word] != 0) << (word - part)
        while occupied != 0:
            word = part + lowest_set_bit(occupied)
            occupied &= occupied - 1
            add_runs(int(bits[word]), word * WORD, lanczos, values)


@block_program
def add_runs(pixels, offset, lanczos, values):
    """Add the runs of set pixels of a word, which begins at pixel `offset`; one that goes on in the next makes two."""
    while pixels != 0:
        first = lowest_set_bit(pixels)
        carried = pixels + (1 << first)  # the ones of the run become zeros, and the zero after them a one
        end = lowest_set_bit(carried)
        pixels &= carried
        add_run(offset + first, offset + end, lanczos, values)


@block_program
def add_run(first, end, lanczos, values):
    """Add the set pixels [first, end) of a row to the output pixels that they enter, piece by piece.

    Of the output pixels beyond, the cumulative weights at both ends are equal: they receive an exact zero.
    """
    while first < end:
        stop = minimum(first + lanczos.piece, end)
        left = lanczos.passed[first]
        before = 2 * REACH * first + REACH
        after = 2 * REACH * stop + REACH - (lanczos.passed[stop] - left)
        add_difference(values, left, lanczos.edges, after, before)
        first = stop


@block_program
def resample_columns(thread, n_threads, row, last_row, rows, lanczos, line, image):
    """Resample one row of the image vertically, clip to 0..1 and round to 0..255.

    A thread owns columns, so it waits for no other. `last_row` is the last row of the raster that `rows` holds; taps of
    no weight may lie beyond.
    """
    n_rows = rows.shape[0]
    n_pixels = image.shape[1]
    first = lanczos.first[row]
    weights = lanczos.weights[row]
    for column in range(thread, n_pixels, n_threads):
        line[column] = 0.0
    for tap in range(0, weights.shape[0], TAPS):
        a, b, c, d = weights[tap], weights[tap + 1], weights[tap + 2], weights[tap + 3]
        row_a = rows[minimum(first + tap, last_row) % n_rows]
        row_b = rows[minimum(first + tap + 1, last_row) % n_rows]
        row_c = rows[minimum(first + tap + 2, last_row) % n_rows]
        row_d = rows[minimum(first + tap + 3, last_row) % n_rows]
        for column in range(thread, n_pixels, n_threads):
            line[column] += a * row_a[column] + b * row_b[column] + c * row_c[column] + d * row_d[column]
    for column in range(thread, n_pixels, n_threads):
        image[row, column] = int(255.0 * minimum(maximum(float(line[column]), 0.0), 1.0) + 0.5)


@block_program
def raster_on_cpu(slot, frames, canvas, lanczos):
    """Draw the frames slot, slot + n_slots, ... on the calling thread. Written: their images, this slot of canvas."""
    for frame in range(slot, frames.images.shape[0], canvas.bits.shape[0]):
        draw(0, 1, frame, slot, frames, canvas, lanczos)


@kernel
def raster_on_cuda(order, frames, canvas, lanczos):
    """Draw all frames, one block a slot of the canvas. `order` int32 [n_blocks], the slots. Written: images, canvas."""
    slot = order[cuda.blockIdx.x]
    for frame in range(slot, frames.images.shape[0], canvas.bits.shape[0]):
        draw(cuda.threadIdx.x, cuda.blockDim.x, frame, slot, frames, canvas, lanczos)
