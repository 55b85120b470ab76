"""Where a zygote's heap lies, so that forking it is cheap: in huge pages, on Linux with glibc; elsewhere as it comes.

A fork copies one page table entry for each page the parent has, and write-protects it. A heap of 12 MB has three
thousand pages, or six of two megabytes. This only moves memory: it takes no right and gives none, and where the kernel
has no huge pages to give, nothing changes.
"""

import ctypes
import mmap
import sys

_HUGE = 2 << 20
_ARENA = 1 << 20  # what CPython asks for at a time since 3.10
_MADV_COLLAPSE = 25  # Linux 6.1; an older kernel refuses it
_PROTECTION = 3  # PROT_READ | PROT_WRITE
_MAPPING = 0x100022  # MAP_FIXED_NOREPLACE | MAP_ANONYMOUS | MAP_PRIVATE


class Arenas(ctypes.Structure):
    """PyObjectArenaAllocator: who gives the interpreter its memory, a megabyte at a time."""

    _fields_ = [("context", ctypes.c_void_p), ("allocate", ctypes.c_void_p), ("free", ctypes.c_void_p)]


def gather_heap() -> Arenas | None:
    """From now on take the interpreter's memory from the process's one growing heap; what `scatter_heap` wants back.

    By itself the interpreter maps every arena for itself, in gaps between the libraries, where hardly any two
    megabytes lie together. libc's sbrk() is an arena allocator as it is: its one argument is taken from the context.
    """
    libc = ctypes.CDLL(None)
    if sys.platform != "linux" or not hasattr(libc, "gnu_get_libc_version"):
        return None
    before, ours = Arenas(), Arenas()
    ctypes.pythonapi.PyObject_GetArenaAllocator(ctypes.byref(before))
    if not _grow(libc, -_end(libc) % _HUGE):
        return None
    ours.context, ours.allocate, ours.free = _ARENA, ctypes.cast(libc.sbrk, ctypes.c_void_p).value, before.free
    ctypes.pythonapi.PyObject_SetArenaAllocator(ctypes.byref(ours))
    return before


def scatter_heap(before: Arenas | None) -> None:
    """What is allocated from now on is mapped by itself again, and so can be given back."""
    if before is not None:
        ctypes.pythonapi.PyObject_SetArenaAllocator(ctypes.byref(before))


def into_huge_pages() -> int:
    """Move the heap into huge pages, filled up at both ends where the addresses are free; how many bytes now are."""
    libc = ctypes.CDLL(None)
    if sys.platform != "linux" or not hasattr(libc, "gnu_get_libc_version"):
        return 0
    start = _start()
    if start is None:
        return 0
    low, padding = start // _HUGE * _HUGE, start % _HUGE
    libc.mmap.restype = ctypes.c_size_t
    libc.mmap.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    if padding and libc.mmap(low, padding, _PROTECTION, _MAPPING, -1, 0) != low:
        low += _HUGE
    _grow(libc, -_end(libc) % _HUGE)
    size = (_end(libc) - low) // _HUGE * _HUGE
    libc.madvise.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
    return size if size > 0 and libc.madvise(low, size, _MADV_COLLAPSE) == 0 else 0


def address_space() -> int:
    """How many bytes of addresses this process has now; 0 where the system does not say."""
    try:
        with open("/proc/self/statm") as sizes:
            return int(sizes.read().split()[0]) * mmap.PAGESIZE
    except OSError:
        return 0


def _start() -> int | None:
    """Where the heap starts."""
    try:
        with open("/proc/self/maps") as maps:
            return next((int(line.partition("-")[0], 16) for line in maps if line.endswith("[heap]\n")), None)
    except OSError:
        return None


def _end(libc: ctypes.CDLL) -> int:
    """Where the heap ends."""
    libc.sbrk.restype, libc.sbrk.argtypes = ctypes.c_size_t, [ctypes.c_ssize_t]
    end: int = libc.sbrk(0)
    return end


def _grow(libc: ctypes.CDLL, size: int) -> bool:
    """Did the heap become that much longer?"""
    before = _end(libc)
    return bool(libc.sbrk(size) == before and _end(libc) == before + size)
