"""The operating system's walls around a process that runs code nobody trusts.

Raw ctypes, because no small, well-kept package does it. `harden()` closes, for the calling process and all it forks:
its uid (as root), new privileges, core dumps, files and TCP (Landlock with no rule at all), and every system call but
the short list that an interpreter needs to compute and to talk over descriptors it already has (seccomp).
Children inherit all of it at no cost.
"""

import ctypes
import errno
import os
import struct
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

from sandbox import syscalls

WALL_NAMES = ("own_uid", "no_new_privs", "rlimits", "landlock", "seccomp")

STACK_BYTES = 1 << 30  # the stack's limit, for deep recursions; see also `slot`, which sets it before the exec
_SIGKILL = 9
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446  # the same numbers on every architecture
_LANDLOCK_VERSION_FLAG = 1
# How many file-system rights each Landlock ABI knows (a right it does not know is an error, so ask for exactly these).
_LANDLOCK_FS_BITS = {1: 13, 2: 14, 3: 15, 4: 15}
_UID_BASE = 0x70000000  # far from any user's; falls back to systemd's dynamic range where a container maps fewer
_UID_FALLBACK, _UID_FALLBACK_COUNT = 61184, 4336

_FIXES = {
    "own_uid": "run as an ordinary user, or give the container CAP_SETUID and CAP_SETGID",
    "no_new_privs": "needs Linux 3.5 or later",
    "rlimits": "needs a POSIX system whose limits may be lowered",
    "landlock": "needs Linux 5.13 or later with landlock in CONFIG_LSM (or lsm= on the kernel's command line)",
    "seccomp": "needs Linux with CONFIG_SECCOMP_FILTER on x86-64 or aarch64",
}


@dataclass(frozen=True, slots=True)
class Wall:
    """One wall as found on this machine: is it there, and if not, what was found and what to do."""

    name: str
    available: bool
    detail: str


class HardenError(OSError):
    """A wall that could not be put up."""


def harden(*, stop: bool = True, may_fork: bool) -> dict[str, str]:
    """Put up every wall there is; name -> "" when it stands, else what went wrong.

    `stop` kills the process at a forbidden system call; otherwise the call fails with EPERM (for tests).
    """
    steps = {
        "rlimits": lower_limits,  # before the uid goes: importing `resource` may need the files of the old one
        "own_uid": drop_uid,
        "no_new_privs": no_new_privs,
        "landlock": landlock_deny_all,
        "seccomp": lambda: seccomp_allow_list(stop=stop, may_fork=may_fork),
    }
    standing: dict[str, str] = {}
    for name, put_up in steps.items():
        try:
            put_up()
            standing[name] = ""
        except (OSError, ValueError, AttributeError, ImportError) as error:
            standing[name] = f"{type(error).__name__}: {error}"
    return standing


@cache
def _libc() -> ctypes.CDLL:
    """libc, opened once: every child calls into it, and opening it again would cost more than the call."""
    return ctypes.CDLL(None, use_errno=True)


@cache
def _prctl_of_libc() -> Any:
    """With its argument types declared: without them every call makes ctypes objects, 60 page faults in a child."""
    function = _libc_with_gil().prctl
    function.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    return function


def _prctl(option: int, argument: int) -> None:
    if sys.platform != "linux":
        raise HardenError(errno.ENOSYS, "prctl exists on Linux only")
    if _prctl_of_libc()(option, argument, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise HardenError(code, f"prctl {option}: {os.strerror(code)}")


@cache
def _libc_with_gil() -> ctypes.PyDLL:
    return ctypes.PyDLL(None, use_errno=True)


def fork() -> int:
    """Fork by libc alone, as only a process with one thread may.

    os.fork() would then run the interpreter's and the library's after-fork hooks in the child (new locks, a new random
    seed, the threading module's books): 180 page faults and three quarters of a millisecond for nothing we need.
    """
    if sys.platform != "linux":
        return os.fork()
    child = _libc_with_gil().fork()
    if child < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"fork: {os.strerror(code)}")
    return int(child)


def give_back_memory() -> None:
    """Return the heap's free pages to the system: every fork copies the page table entries of those that are kept."""
    if sys.platform == "linux" and hasattr(_libc(), "malloc_trim"):
        _libc().malloc_trim(0)


def die_with_parent(parent: int) -> None:
    """SIGKILL this process when the thread that started it ends; at once if `parent` is gone already."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def drop_uid() -> None:
    """As root: take a uid and gid of our own and lose every capability. As anyone else: nothing to drop."""
    if os.geteuid() != 0:
        return
    os.setgroups([])
    for number in (_UID_BASE + os.getpid(), _UID_FALLBACK + os.getpid() % _UID_FALLBACK_COUNT):
        try:
            os.setresgid(number, number, number)
            os.setresuid(number, number, number)
            return
        except OSError as error:
            if error.errno != errno.EINVAL:  # EINVAL: not mapped in this user namespace
                raise
    raise HardenError(errno.EINVAL, "no unprivileged uid is mapped in this user namespace")


def no_new_privs() -> None:
    """No set-uid program raises us, no core is dumped, nobody of our uid reads our memory."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)


def lower_limits() -> None:
    """The limits that hold for the zygote and its children alike; a program's own come per child."""
    import resource

    for kind in ("RLIMIT_CORE", "RLIMIT_FSIZE", "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE"):
        if hasattr(resource, kind):
            resource.setrlimit(getattr(resource, kind), (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES if hard < 0 else min(hard, STACK_BYTES), hard))


def landlock_abi() -> int:
    """The kernel's Landlock version, 0 when there is none."""
    if sys.platform != "linux":
        return 0
    version = _libc().syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_LANDLOCK_VERSION_FLAG))
    return max(version, 0)


def landlock_deny_all() -> None:
    """No file may be opened, made, removed or run; no TCP; from ABI 6 no abstract socket or signal to the outside."""
    abi = landlock_abi()
    if abi == 0:
        raise HardenError(errno.ENOSYS, "this kernel has no Landlock")
    rights = (1 << _LANDLOCK_FS_BITS.get(abi, 16)) - 1
    attributes = struct.pack("<QQQ", rights, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    libc = _libc()
    ruleset = libc.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(size), ctypes.c_uint32(0))
    if ruleset < 0:
        raise HardenError(ctypes.get_errno(), "landlock_create_ruleset")
    failed = libc.syscall(_LANDLOCK_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    code = ctypes.get_errno()
    os.close(ruleset)
    if failed:
        raise HardenError(code, f"landlock_restrict_self: {os.strerror(code)}")


def seccomp_allow_list(*, stop: bool, may_fork: bool) -> None:
    """Only the system calls of `syscalls.program` from here on, for ever."""
    filters = syscalls.program(os.uname().machine, stop=stop, may_fork=may_fork)
    code = ctypes.create_string_buffer(filters, len(filters))

    class Prog(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    prog = Prog(len(filters) // 8, ctypes.addressof(code))
    if _prctl_of_libc()(_PR_SET_SECCOMP, 2, ctypes.addressof(prog), 0, 0) != 0:
        number = ctypes.get_errno()
        raise HardenError(number, f"seccomp filter: {os.strerror(number)}")


def missing(standing: dict[str, str]) -> list[str]:
    """One line for each wall that does not stand."""
    found = {name: standing.get(name, "not tried") for name in WALL_NAMES}
    return [f"{name}: {problem}; {_FIXES[name]}" for name, problem in found.items() if problem]


def close_descriptors(keep: set[int]) -> None:
    """Close every descriptor but `keep`, and put nothing in place of 0, 1 and 2."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    edges = [-1, *sorted(keep), max(256, min(soft, 1 << 20))]
    for low, high in zip(edges, edges[1:], strict=False):
        if low + 1 < high:  # an empty range that starts at 0 would close everything
            os.closerange(low + 1, high)


def walls() -> dict[str, Wall]:
    """Which walls can be put up on this machine, found by trying all of them in a throw-away process."""
    import ast
    import subprocess

    if os.name != "posix":
        return {name: Wall(name, False, _FIXES[name]) for name in WALL_NAMES}
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    code = (
        f"import sys; sys.path.append({home!r}); from sandbox import harden; "
        "print(repr(harden.harden(stop=False, may_fork=False)), flush=True); import os; os._exit(0)"
    )
    run = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, env={}, timeout=60)
    try:
        standing = ast.literal_eval(run.stdout.strip())
    except (ValueError, SyntaxError):
        last = (run.stderr.strip().splitlines() or [f"exit status {run.returncode}"])[-1]
        standing = dict.fromkeys(WALL_NAMES, f"the probe failed: {last}")
    return {name: _wall(name, standing.get(name, "not tried")) for name in WALL_NAMES}


def _wall(name: str, problem: str) -> Wall:
    if problem:
        return Wall(name, False, f"{problem}; {_FIXES[name]}")
    details = {
        "own_uid": "each worker takes a uid of its own" if os.geteuid() == 0 else f"keeps uid {os.geteuid()}",
        "landlock": f"ABI {landlock_abi()}, deny all",
        "seccomp": f"allow-list for {os.uname().machine}",
    }
    return Wall(name, True, details.get(name, "stands"))
