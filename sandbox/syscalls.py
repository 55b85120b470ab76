"""The system calls a confined interpreter may make, as a seccomp filter (classic BPF) for x86-64 and aarch64.

Three lists: allowed; refused with an error, because libc or the interpreter tries them in passing and copes; and, of
those allowed, some only with certain arguments. Everything else stops the process.
"""

import errno
import struct

# name: (x86-64, aarch64); None where the architecture has no such call.
_ALLOWED: dict[str, tuple[int | None, int]] = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "lseek": (8, 62),
    "munmap": (11, 215),
    "brk": (12, 214),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "sched_yield": (24, 124),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getppid": (110, 173),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getrandom": (318, 278),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "setitimer": (38, 103),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
# For the zygote; a child of its own has no descriptor left to make a pipe with.
_FORKING: dict[str, tuple[int | None, int]] = {"wait4": (61, 260), "pipe2": (293, 59)}

# These fail with an error and go on: harmless in themselves, and tried by libc or the interpreter in passing.
_FAIL: dict[str, tuple[int | None, int]] = {
    "open": (2, -1),
    "openat": (257, 56),
    "stat": (4, -1),
    "lstat": (6, -1),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "access": (21, -1),
    "faccessat": (269, 48),
    "readlink": (89, -1),
    "readlinkat": (267, 78),
    "getcwd": (79, 17),
    "ioctl": (16, 29),
    "fcntl": (72, 25),
    "clock_nanosleep": (230, 115),
    "sched_getaffinity": (204, 123),
}
_CLONE3 = 435  # refused as unknown, so that libc falls back to clone, whose flags a filter can read
_MMAP, _MPROTECT, _PRLIMIT, _PRCTL, _CLONE = (9, 222), (10, 226), (302, 261), (157, 167), (56, 220)
_SENDTO, _RECVMSG, _FUTEX = (44, 206), (47, 212), (202, 98)
# Waiting and waking, of what is private or shared, by either clock. Not those that inherit priorities, which no lock of
# ours wants: that corner of the kernel has been broken more than once.
_FUTEX_OPERATIONS = [
    operation | private | clock for operation in (0, 1, 3, 4, 5, 9, 10) for private in (0, 128) for clock in (0, 256)
]

_PROT_EXEC = 4
_FORK_FLAGS = 0x01200011  # CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD: fork, no thread and no namespace
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9

_LOAD, _JUMP_EQUAL, _JUMP_ANY_BIT, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_RET_KILL, _RET_ERRNO, _RET_ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_NR, _ARCH = 0, 4
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7), "arm64": (1, 0xC00000B7)}


def _argument(index: int, *, high: bool = False) -> int:
    """Where in seccomp_data the low (or high) half of an argument lies; both architectures are little-endian."""
    return 16 + 8 * index + (4 if high else 0)


def _op(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value)


def program(machine: str, *, stop: bool, may_fork: bool) -> bytes:
    """The filter's instructions, 8 bytes each. `stop`: a forbidden call kills the process, else it fails with EPERM."""
    if machine not in _ARCHITECTURES:
        raise ValueError(f"no system call table for {machine}; expected one of {sorted(_ARCHITECTURES)}")
    column, arch = _ARCHITECTURES[machine]
    deny = _RET_KILL if stop else _RET_ERRNO | errno.EPERM
    ops = [_op(_LOAD, _ARCH), _op(_JUMP_EQUAL, arch, 1, 0), _op(_RETURN, _RET_KILL), _op(_LOAD, _NR)]
    ops += [_op(_JUMP_AT_LEAST, 0x40000000, 0, 1), _op(_RETURN, _RET_KILL)]  # the x32 table of x86-64
    allowed = _ALLOWED | (_FORKING if may_fork else {})
    ops += _answer(allowed, column, _RET_ALLOW)
    ops += _answer(_FAIL, column, _RET_ERRNO | errno.EACCES)
    ops += [_op(_JUMP_EQUAL, _CLONE3, 0, 1), _op(_RETURN, _RET_ERRNO | errno.ENOSYS)]
    executable = _RET_ERRNO | errno.EACCES
    for call in (_MMAP, _MPROTECT):
        ops += _when(call[column], [(2, _JUMP_ANY_BIT, _PROT_EXEC, False)], executable, _RET_ALLOW)
    ops += _when(_PRLIMIT[column], [(0, _JUMP_EQUAL, 0, True)], _RET_ALLOW, _RET_ERRNO | errno.EPERM)
    # Only to die with the parent, and never to stop doing so.
    dying = [(0, _JUMP_EQUAL, _PR_SET_PDEATHSIG, True), (1, _JUMP_EQUAL, _SIGKILL, True)]
    ops += _when(_PRCTL[column], dying, _RET_ALLOW, _RET_ERRNO | errno.EPERM)
    # send() with an address would reach a datagram socket elsewhere; without one it only serves what is connected.
    # And neither with flags: out-of-band bytes on Unix sockets are a corner of the kernel that has been broken before.
    ops += _when(_SENDTO[column], [(3, _JUMP_EQUAL, 0, False), (4, _JUMP_EQUAL, 0, True)], _RET_ALLOW, deny)
    ops += _when(_RECVMSG[column], [(2, _JUMP_EQUAL, 0, False)], _RET_ALLOW, deny)
    ops += _one_of(_FUTEX[column], 1, _FUTEX_OPERATIONS, _RET_ERRNO | errno.ENOSYS)
    if may_fork:
        ops += _when(_CLONE[column], [(0, _JUMP_EQUAL, _FORK_FLAGS, True)], _RET_ALLOW, deny)
    return b"".join([*ops, _op(_RETURN, deny)])


def _answer(calls: dict[str, tuple[int | None, int]], column: int, verdict: int) -> list[bytes]:
    numbers = [call[column] for call in calls.values()]
    return [
        op
        for number in numbers
        if number is not None and number >= 0
        for op in (_op(_JUMP_EQUAL, number, 0, 1), _op(_RETURN, verdict))
    ]


def _one_of(number: int, index: int, values: list[int], no: int) -> list[bytes]:
    """For one call: allowed when the low half of that argument is one of `values`, else `no`."""
    body = [_op(_LOAD, _argument(index))]
    body += [op for value in values for op in (_op(_JUMP_EQUAL, value, 0, 1), _op(_RETURN, _RET_ALLOW))]
    body.append(_op(_RETURN, no))
    return [_op(_JUMP_EQUAL, number, 0, len(body)), *body]


def _when(number: int, tests: list[tuple[int, int, int, bool]], yes: int, no: int) -> list[bytes]:
    """For one call: `yes` when its arguments pass every test, else `no`.

    A test is (argument, jump, value, whether the argument's high half must be zero too).
    """
    body: list[bytes] = []
    checks = [(_argument(index), jump, value) for index, jump, value, _ in tests]
    checks += [(_argument(index, high=True), _JUMP_EQUAL, 0) for index, _, _, both in tests if both]
    for position, (offset, jump, value) in enumerate(checks):
        left = len(checks) - position - 1
        body += [_op(_LOAD, offset), _op(jump, value, 0, 2 * left + 1)]
    body += [_op(_RETURN, yes), _op(_RETURN, no)]
    # After the body the accumulator holds an argument, but the body always returns.
    return [_op(_JUMP_EQUAL, number, 0, len(body)), *body]
