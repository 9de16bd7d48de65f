"""Scratch memory is each thread's own."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np

from gradline.maths.scratch import Scratch


def test_threads_do_not_share_scratch_memory():
    scratch, met = Scratch(), Barrier(4)

    def fill(number):
        mine = scratch.of(3, 5)
        mine[:] = number
        met.wait()
        return bool((mine == number).all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(fill, range(4)))


def test_a_thread_gets_its_memory_again():
    scratch = Scratch()
    first = scratch.of(4, 6)
    assert first.shape == (4, 6)
    assert np.shares_memory(first, scratch.of(2, 3))
    assert scratch.of(5, 7).shape == (5, 7)
