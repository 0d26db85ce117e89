"""Images: the discs of one frame, drawn on a fine raster and resampled by the Lanczos filter.

A pixel of the raster is 1 where its centre lies within R of a particle's centre. The raster spans L x L and its row 0
is the top, y = L. It is kept as bits, so that discs can be set in any order, one upon the other. The horizontal pass of
the resampling uses that a row is made of runs of ones: what a run adds to an output pixel is the difference of the
cumulative weights at its two ends, so the cost goes with the edges of the discs and not with the pixels.
"""

import math
from collections import namedtuple

from numba import cuda

from .forces import RADIUS
from .targets import barrier, block_program, fetch_or, maximum, minimum

# Frames: what is drawn, and into what.
#   positions    float32 [n_frames, n, 2]  rows beyond n_particles are padding
#   n_particles  int64   [n_frames]
#   box_length   float   L, the side of the square that the image shows
#   images       uint8   [n_frames, pixels, pixels]  written
Frames = namedtuple("Frames", ["positions", "n_particles", "box_length", "images"])

# Canvas: the workspace; one slot a block, used for one frame after the other. Nothing in it outlives a frame.
#   bits  uint32  [n_slots, raster_pixels, ceil(raster_pixels / 32)]  the raster, lowest bit leftmost
#   rows  float32 [n_slots, raster_pixels, pixels + GROUP]  the raster resampled horizontally, and padding
#   line  float32 [n_slots, pixels]                 one row of the image before rounding
Canvas = namedtuple("Canvas", ["bits", "rows", "line"])
WORD = 32
# Output pixels that a run is added to at once. Of a fixed number the compiler makes straight vector code.
GROUP = 8
ONES = 0xFFFFFFFF

# Lanczos: the weights of one axis, made by gputhermo.resample.
#   cumulative  float32 [raster_pixels + 1, pixels + GROUP]  weight of all raster pixels before k in output pixel o
#   reached     int32   [raster_pixels, 2]           the output pixels [first, end) that a raster pixel enters
#   first       int32   [pixels]                     the first raster pixel of an output pixel
#   weights     float32 [pixels, n_taps]             weights from there on, zero-padded
Lanczos = namedtuple("Lanczos", ["cumulative", "reached", "first", "weights"])


@block_program
def draw(thread, n_threads, frame, slot, frames, canvas, lanczos):
    """Draw frame `frame`. One block owns it. Written: its image, and slot `slot` of the canvas.

    The block may go on to another frame at once: what a slower thread still reads, `rows`, is next written after the
    first barrier there.
    """
    bits = canvas.bits[slot]
    rows = canvas.rows[slot]
    clear(thread, n_threads, bits)
    barrier()
    set_discs(thread, n_threads, frames.positions[frame], frames.n_particles[frame], frames.box_length, bits)
    barrier()
    resample_rows(thread, n_threads, bits, lanczos, rows)
    barrier()
    resample_columns(thread, n_threads, rows, lanczos, canvas.line[slot], frames.images[frame])


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
    """Set the pixels [first, end) of one row."""
    for word in range(first // WORD, (end - 1) // WORD + 1):
        low = maximum(first - word * WORD, 0)
        high = minimum(end - word * WORD, WORD)
        fetch_or(bits, (row, word), (1 << high) - (1 << low))


@block_program
def trailing_zeros(lowest):
    """Place of the only set bit of a 32-bit word: the number of ones in the word below it, counted in parallel."""
    ones = lowest - 1
    ones = ones - ((ones >> 1) & 0x55555555)
    ones = (ones & 0x33333333) + ((ones >> 2) & 0x33333333)
    ones = (ones + (ones >> 4)) & 0x0F0F0F0F
    return ((ones * 0x01010101) & ONES) >> 24


@block_program
def resample_rows(thread, n_threads, bits, lanczos, rows):
    """Resample the raster horizontally: each row is the sum of its runs, from left to right."""
    n_rows, n_words = bits.shape
    n_columns = rows.shape[1]
    for row in range(thread, n_rows, n_threads):
        for column in range(n_columns):
            rows[row, column] = 0.0
        last = 0  # the pixel left of this word
        first = 0
        for word in range(n_words):
            pixels = int(bits[row, word]) & ONES  # a signed number to numba, which shifts no other
            # A set bit is where a pixel differs from its left neighbour: the beginnings and ends of runs in turn.
            changes = (pixels ^ (pixels << 1 | last)) & ONES
            while changes != 0:
                lowest = changes & -changes
                place = word * WORD + trailing_zeros(lowest)
                if pixels & lowest:
                    first = place
                else:
                    add_run(row, first, place, lanczos, rows)
                changes ^= lowest
            last = pixels >> (WORD - 1)
        if last:
            add_run(row, first, n_words * WORD, lanczos, rows)


@block_program
def add_run(row, first, end, lanczos, rows):
    """Add the set pixels [first, end) of a row to the output pixels that they enter, in whole groups.

    Of the output pixels beyond, the cumulative weights at both ends are equal: they receive an exact zero.
    """
    for group in range(lanczos.reached[first, 0], lanczos.reached[end - 1, 1], GROUP):
        for column in range(group, group + GROUP):
            rows[row, column] += lanczos.cumulative[end, column] - lanczos.cumulative[first, column]


@block_program
def resample_columns(thread, n_threads, rows, lanczos, line, image):
    """Resample vertically, clip to 0..1 and round to 0..255. A thread owns columns, so it waits for no other."""
    n_pixels = image.shape[0]
    for row in range(n_pixels):
        for column in range(thread, n_pixels, n_threads):
            line[column] = 0.0
        for tap in range(lanczos.weights.shape[1]):
            source = lanczos.first[row] + tap
            if source < rows.shape[0]:
                weight = lanczos.weights[row, tap]
                for column in range(thread, n_pixels, n_threads):
                    line[column] += weight * rows[source, column]
        for column in range(thread, n_pixels, n_threads):
            image[row, column] = int(255.0 * minimum(maximum(float(line[column]), 0.0), 1.0) + 0.5)


@block_program
def raster_on_cpu(slot, frames, canvas, lanczos):
    """Draw the frames slot, slot + n_slots, ... on the calling thread. Written: their images, this slot of canvas."""
    for frame in range(slot, frames.images.shape[0], canvas.bits.shape[0]):
        draw(0, 1, frame, slot, frames, canvas, lanczos)


@cuda.jit
def raster_on_cuda(order, frames, canvas, lanczos):
    """Draw all frames, one block a slot of the canvas. `order` int32 [n_blocks], the slots. Written: images, canvas."""
    slot = order[cuda.blockIdx.x]
    for frame in range(slot, frames.images.shape[0], canvas.bits.shape[0]):
        draw(cuda.threadIdx.x, cuda.blockDim.x, frame, slot, frames, canvas, lanczos)
