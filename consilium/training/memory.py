"""Keep freed memory in the process while training."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Tell glibc to serve large blocks from its heap and to keep them when freed; return whether it could be told.

    Each training step allocates and frees gigabytes in blocks of hundreds of megabytes. By default glibc maps and
    unmaps those each time, and the kernel zeroes every page anew: measured on two cores, a step of 1,152 tokens takes
    about 1.5 times as long. On other C libraries nothing is changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(
        mallopt(option, value) == 1
        for option, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**28))
    )
