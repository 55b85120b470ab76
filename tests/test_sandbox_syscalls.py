"""The seccomp filter, instruction by instruction: the numbers are the kernel's, and only the listed calls get through.

The filter runs here in an interpreter of our own for classic BPF, for both architectures, since only one is at hand.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from sandbox import syscalls

KILL, ERRNO, ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
HEADERS = {
    "x86_64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"),
    "aarch64": ("/usr/include/asm-generic/unistd.h",),
}
# What the kernel's headers call otherwise: 64-bit file calls are one number under two names in asm-generic.
ALIASES = {"lseek": "__NR3264_lseek", "fcntl": "__NR3264_fcntl", "mmap": "__NR3264_mmap", "fstat": "__NR3264_fstat",
           "newfstatat": "__NR3264_fstatat"}  # fmt: skip
# asm-generic's numbers, typed in from include/uapi/asm-generic/unistd.h: where no header is installed these still hold.
GENERIC = {
    "getcwd": 17, "fcntl": 25, "ioctl": 29, "faccessat": 48, "openat": 56, "close": 57, "pipe2": 59, "lseek": 62,
    "read": 63, "write": 64, "readlinkat": 78, "newfstatat": 79, "fstat": 80, "exit": 93, "exit_group": 94, "futex": 98,
    "set_robust_list": 99, "setitimer": 103, "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115,
    "sched_getaffinity": 123, "sched_yield": 124, "restart_syscall": 128, "sigaltstack": 132, "rt_sigaction": 134,
    "rt_sigprocmask": 135, "rt_sigreturn": 139, "getrusage": 165, "prctl": 167, "gettimeofday": 169, "getpid": 172,
    "getppid": 173, "getuid": 174, "geteuid": 175, "getgid": 176, "getegid": 177, "gettid": 178, "sendto": 206,
    "recvmsg": 212, "brk": 214, "munmap": 215, "mremap": 216, "clone": 220, "mmap": 222, "mprotect": 226,
    "madvise": 233, "wait4": 260, "prlimit64": 261, "getrandom": 278, "statx": 291, "rseq": 293, "clone3": 435,
}  # fmt: skip


def named() -> dict[str, tuple[int | None, int]]:
    """Every system call that the tables name."""
    special = {"mmap": syscalls._MMAP, "mprotect": syscalls._MPROTECT, "prlimit64": syscalls._PRLIMIT,
               "prctl": syscalls._PRCTL, "clone": syscalls._CLONE, "sendto": syscalls._SENDTO,
               "recvmsg": syscalls._RECVMSG, "clone3": (syscalls._CLONE3, syscalls._CLONE3),
               "futex": syscalls._FUTEX}  # fmt: skip
    return {**syscalls._ALLOWED, **syscalls._FORKING, **syscalls._FAIL, **special}


@pytest.mark.parametrize("machine", ARCHES)
def test_the_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    path = next((Path(name) for name in HEADERS[machine] if Path(name).exists()), None)
    if path is None:
        pytest.skip(f"needs the kernel's headers for {machine} (Debian: linux-libc-dev), one of {HEADERS[machine]}")
    text = path.read_text()
    numbers = {name: int(number) for name, number in re.findall(r"#define (__NR(?:3264)?_\w+)\s+(\d+)", text)}
    column = 0 if machine == "x86_64" else 1
    for name, columns in named().items():
        number = columns[column]
        if number is None or number < 0:
            assert machine == "aarch64" and f"__NR_{name}" not in numbers, f"aarch64 does have {name}"
        else:
            known = numbers.get(f"__NR_{name}", numbers.get(ALIASES.get(name, "")))
            assert number == known, name


def test_the_numbers_of_aarch64_are_asm_generics() -> None:
    assert {name: columns[1] for name, columns in named().items() if columns[1] >= 0} == GENERIC


def verdict(program: bytes, number: int, arch: int, *args: int) -> int:
    """What the filter answers: classic BPF over seccomp_data (number, arch, instruction pointer, six arguments)."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *(*args, *[0] * (6 - len(args))))
    code = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    at = value = 0
    while True:
        operation, yes, no, constant = code[at]
        at += 1
        if operation == 0x06:
            return constant
        if operation == 0x20:
            (value,) = struct.unpack_from("<I", data, constant)
        else:
            taken = {0x15: value == constant, 0x45: bool(value & constant), 0x35: value >= constant}[operation]
            at += yes if taken else no


@pytest.mark.parametrize("machine", ARCHES)
@pytest.mark.parametrize("may_fork", [False, True])
def test_only_the_listed_calls_get_through(machine: str, may_fork: bool) -> None:
    program, arch = syscalls.program(machine, stop=True, may_fork=may_fork), ARCHES[machine]
    column = 0 if machine == "x86_64" else 1
    free = {columns[column] for columns in {**syscalls._ALLOWED, **(syscalls._FORKING if may_fork else {})}.values()}
    # With no arguments these ask for nothing: no execution, no other process, no address.
    free |= {table[column] for table in (syscalls._MMAP, syscalls._MPROTECT, syscalls._PRLIMIT, syscalls._SENDTO,
                                         syscalls._RECVMSG, syscalls._FUTEX)}  # fmt: skip
    fails = {columns[column] for columns in syscalls._FAIL.values()} | {syscalls._CLONE3, syscalls._PRCTL[column]}
    for number in range(1200):
        answer = verdict(program, number, arch)
        expected = "allow" if number in free else "fail" if number in fails else "kill"
        found = {ALLOW: "allow", KILL: "kill"}.get(answer, "fail" if answer & 0xFFFF0000 == ERRNO else "?")
        assert found == expected, number


@pytest.mark.parametrize("machine", ARCHES)
def test_arguments_decide_where_they_must(machine: str) -> None:
    arch, column = ARCHES[machine], 0 if machine == "x86_64" else 1
    child, zygote = (syscalls.program(machine, stop=True, may_fork=fork) for fork in (False, True))
    mmap, mprotect, prlimit, prctl, clone, sendto, recvmsg, futex = (
        table[column]
        for table in (syscalls._MMAP, syscalls._MPROTECT, syscalls._PRLIMIT, syscalls._PRCTL, syscalls._CLONE,
                      syscalls._SENDTO, syscalls._RECVMSG, syscalls._FUTEX)
    )  # fmt: skip
    denied = {
        "executable memory": (mmap, 0, 4096, 7, 0x22),
        "execution with a high half": (mmap, 0, 4096, (1 << 32) | 4, 0x22),
        "memory made executable": (mprotect, 0, 4096, 5),
        "another process's limits": (prlimit, 1234, 7, 1),
        "another process's limits, by the high half": (prlimit, 1 << 32, 7, 1),
        "prctl other than the death signal": (prctl, 38, 1),
        "a message to an address": (sendto, 3, 0, 1, 0, 0x7FFF0000),
        "a message to a high address": (sendto, 3, 0, 1, 0, 1 << 40),
        "an out-of-band message": (sendto, 3, 0, 1, 1, 0),
        "an out-of-band message taken": (recvmsg, 3, 0, 1),
        "a lock that lends its holder a priority": (futex, 0, 6),
        "a private one": (futex, 0, 128 | 13),
        "a wait that ends with one": (futex, 0, 11),
        "a thread": (clone, 0x3D0F00),
        "a fork by a child": (clone, 0x01200011),
    }
    for what, (number, *args) in denied.items():
        assert verdict(child, number, arch, *args) != ALLOW, what
    assert verdict(zygote, clone, arch, 0x01200011) == ALLOW, "the zygote forks"
    assert verdict(zygote, clone, arch, 0x01200011 | 0x10000000) == KILL, "but into no namespace"
    assert verdict(child, mmap, arch, 0, 4096, 3, 0x22) == ALLOW
    assert verdict(child, prctl, arch, 1, 9) == ALLOW
    assert verdict(child, recvmsg, arch, 3, 0x7FFF0000, 0) == ALLOW, "the zygote takes its jobs"
    for operation in (128, 129, 9 | 128 | 256, 5 | 128):
        assert verdict(child, futex, arch, 0, operation) == ALLOW, "what the interpreter's own locks do"


@pytest.mark.parametrize("machine", ARCHES)
def test_another_architectures_entry_is_killed(machine: str) -> None:
    program = syscalls.program(machine, stop=False, may_fork=True)
    for arch in (0x40000003, 0x40000028, *ARCHES.values()):  # i386 by int 0x80, arm, and the two
        if arch != ARCHES[machine]:
            assert verdict(program, 0, arch) == KILL
    assert verdict(program, 0x40000000, ARCHES[machine]) == KILL, "the x32 table"


def test_an_unknown_machine_is_one_clear_line() -> None:
    with pytest.raises(ValueError, match="no system call table for riscv64; expected one of .*aarch64.*x86_64"):
        syscalls.program("riscv64", stop=True, may_fork=False)
