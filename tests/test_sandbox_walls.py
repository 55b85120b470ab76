"""The second wall alone: the language layer is switched off, and still nothing gets out.

Each program below has the whole of CPython in hand, `os`, `socket` and `ctypes` included, inside a real child of a real
zygote. With `stop=False` a forbidden system call fails with EPERM instead of killing the process, so that the test can
say which wall refused; production kills.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.harden import WALL_NAMES, Wall, walls
from sandbox.pool import run_with
from sandbox.slot import Settings
from sandbox.verdict import Limits, Program, Result, Test

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the walls are Linux's")

LIMITS = Limits(cpu_seconds=2, wall_seconds=20, memory_mb=512)
PREAMBLE = """
import ctypes, errno, os, resource, signal, socket, time, _thread
libc = ctypes.CDLL(None, use_errno=True)
def name(call, *args):
    'The errno of a system call made through libc, or what it returned.'
    ctypes.set_errno(0)
    value = getattr(libc, call)(*args)
    return errno.errorcode[ctypes.get_errno()] if value == -1 else value
def syscall(number, *args):
    return name('syscall', ctypes.c_long(number), *args)
def attempt(work):
    'The errno that a call of the standard library raises, or what it returned.'
    try:
        return work()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
    except (RuntimeError, ValueError) as error:
        return str(error)
"""


def judge(*sources: str, stop: bool = False, tests: tuple[str, ...] = ("assert f() is None",)) -> list[Result]:
    programs = [
        Program(source=PREAMBLE + source, kind="function", tests=tuple(map(Test, tests)), entry_point="f")
        for source in sources
    ]
    return list(run_with(programs, Settings(limits=LIMITS, language_layer=False, stop=stop), workers=1))


# What the program tries -> what it must get. Files, sockets, processes, signals, memory of others, mounts, ids.
FORBIDDEN = {
    "open('/etc/passwd')": "EACCES",
    "open('/tmp/pairwright-wall', 'w')": "EACCES",
    "open('/dev/null', 'w')": "EACCES",
    "open('/proc/self/mem', 'rb')": "EACCES",
    "open('/proc/TESTS_PID/environ')": "EACCES",
    "open('/proc/TESTS_PID/mem', 'rb')": "EACCES",
    "os.listdir('/')": "EACCES",
    "os.stat('/etc/passwd').st_size": "EACCES",
    "os.readlink('/proc/self/exe')": "EACCES",
    "os.getcwd()": "EACCES",
    "os.access('/etc/passwd', os.R_OK)": False,
    "os.mkdir('/tmp/pairwright-wall')": "EPERM",
    "os.unlink('/etc/hostname')": "EPERM",
    "os.rename('/etc/hostname', '/etc/hostname2')": "EPERM",
    "os.symlink('/etc', '/tmp/pairwright-wall')": "EPERM",
    "os.link('/etc/hostname', '/tmp/pairwright-wall')": "EPERM",
    "os.chmod('/tmp', 0o777)": "EPERM",
    "os.chown('/tmp', 0, 0)": "EPERM",
    "os.chdir('/tmp')": "EPERM",
    "os.chroot('/')": "EPERM",
    "os.truncate('/etc/hostname', 0)": "EPERM",
    "os.mkfifo('/tmp/pairwright-wall')": "EPERM",
    "os.memfd_create('x')": "EPERM",
    "os.pipe()": "EMFILE",  # the zygote may, so that it is the limit on descriptors that stops a child
    "os.dup(0)": "EACCES",
    "socket.socket(socket.AF_INET, socket.SOCK_STREAM)": "EPERM",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)": "EPERM",
    "socket.socket(socket.AF_INET6, socket.SOCK_STREAM)": "EPERM",
    "socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)": "EPERM",
    "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)": "EPERM",
    "socket.socketpair()": "EPERM",
    "name('socket', 17, 3, 0)": "EPERM",
    "name('connect', 0, b'x' * 16, 16)": "EPERM",
    "name('bind', 0, b'x' * 16, 16)": "EPERM",
    "name('listen', 0, 1)": "EPERM",
    "name('accept', 0, None, None)": "EPERM",
    "name('shutdown', 4, 2)": "EPERM",
    "name('sendto', 4, b'x', 1, 0, b'y' * 16, 16)": "EPERM",
    "os.fork()": "EAGAIN",
    "os.forkpty()": "EACCES",
    "name('vfork')": "EPERM",
    "_thread.start_new_thread(print, ())": "can't start new thread",
    "os.execv('/bin/true', ['true'])": "EPERM",
    "os.execve('/bin/true', ['true'], {})": "EPERM",
    "os.posix_spawn('/bin/true', ['true'], {})": "EPERM",
    "os.system('true')": 127 << 8,  # what system() says when it cannot make a process
    "name('clone', None, None, 0x10000000, None)": "EINVAL",
    "syscall(56 if os.uname().machine == 'x86_64' else 220, 0x10000000, 0, 0, 0, 0)": "EPERM",
    "syscall(435, 0, 0)": "ENOSYS",
    "os.kill(os.getppid(), signal.SIGKILL)": "EPERM",
    "os.kill(os.getpid(), 0)": "EPERM",
    "os.kill(1, 0)": "EPERM",
    "os.kill(-1, signal.SIGKILL)": "EPERM",
    "os.killpg(os.getpgid(0), signal.SIGKILL)": "EPERM",
    "os.pidfd_open(os.getppid())": "EPERM",
    "name('ptrace', 16, os.getppid(), 0, 0)": "EPERM",
    "name('ptrace', 0, 0, 0, 0)": "EPERM",
    "name('process_vm_readv', os.getppid(), None, 0, None, 0, 0)": "EPERM",
    "name('process_vm_writev', os.getppid(), None, 0, None, 0, 0)": "EPERM",
    "name('mount', b'none', b'/tmp', b'tmpfs', 0, None)": "EPERM",
    "name('umount', b'/proc')": "EPERM",
    "name('unshare', 0x10000000)": "EPERM",
    "name('setns', 0, 0)": "EPERM",
    "os.setuid(0)": "EPERM",
    "os.setgid(0)": "EPERM",
    "os.setresuid(0, 0, 0)": "EPERM",
    "os.setgroups([0])": "EPERM",
    "name('capset', None, None)": "EPERM",
    "name('prctl', 38, 0, 0, 0, 0)": "EPERM",
    "name('prctl', 4, 1, 0, 0, 0)": "EPERM",
    "name('prctl', 22, 0, 0, 0, 0)": "EPERM",
    "name('mprotect', ctypes.c_void_p(id(libc) & ~4095), 4096, 7)": "EACCES",
    "name('mmap', None, 4096, 7, 0x22, -1, 0)": "EACCES",
    "name('shmget', 0, 4096, 0o1600)": "EPERM",
    "name('msgget', 0, 0o1600)": "EPERM",
    "name('semget', 0, 1, 0o1600)": "EPERM",
    "name('mq_open', b'/x', 0o102, 0o600, None)": "EPERM",
    "name('inotify_init')": "EPERM",
    "name('epoll_create', 1)": "EPERM",
    "name('eventfd', 0, 0)": "EPERM",
    "name('reboot', 0)": "EPERM",
    "name('sethostname', b'x', 1)": "EPERM",
    "name('klogctl', 2, None, 0)": "EPERM",
    "name('adjtimex', b'x' * 208)": "EPERM",
    "syscall(321 if os.uname().machine == 'x86_64' else 280, 0, None, 0)": "EPERM",
    "syscall(425, 1, None)": "EPERM",
    "syscall(298 if os.uname().machine == 'x86_64' else 241, None, 0, -1, -1, 0)": "EPERM",
    "syscall(248 if os.uname().machine == 'x86_64' else 217, None, None, None, 0, 0)": "EPERM",
    "os.nice(-5)": "EPERM",
    "resource.setrlimit(resource.RLIMIT_NPROC, (100, 100))": "not allowed to raise maximum limit",
    "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))": "not allowed to raise maximum limit",
    "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))": "not allowed to raise maximum limit",
    "resource.setrlimit(resource.RLIMIT_CPU, (-1, -1))": "not allowed to raise maximum limit",
    "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))": "not allowed to raise maximum limit",
    "resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))": "EPERM",
    "time.sleep(30)": "EACCES",
}


@pytest.fixture(scope="module")
def found() -> dict[str, Result]:
    """What each attempt got, all judged in one run."""
    works = [work.replace("TESTS_PID", str(os.getpid())) for work in FORBIDDEN]
    sources = [f"def f():\n    return repr(attempt(lambda: {work}))\n" for work in works]
    return dict(zip(FORBIDDEN, judge(*sources, tests=("assert False, f()",)), strict=True))


@pytest.mark.parametrize("work", FORBIDDEN)
def test_without_the_language_layer_the_kernel_refuses(work: str, found: dict[str, Result]) -> None:
    result = found[work]
    assert (result.status, result.error_message) == ("wrong", f"AssertionError: {FORBIDDEN[work]!r}")


STOPPED = {
    "a socket": "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
    "another program": "os.execv('/bin/true', ['true'])",
    "a signal to the zygote": "os.kill(os.getppid(), signal.SIGKILL)",
    "a signal to everyone": "os.kill(-1, signal.SIGKILL)",
    "the memory of another process": "name('process_vm_readv', os.getppid(), None, 0, None, 0, 0)",
    "tracing the zygote": "name('ptrace', 16, os.getppid(), 0, 0)",
    "a mount": "name('mount', b'none', b'/tmp', b'tmpfs', 0, None)",
    "another user": "os.setuid(0)",
    "a namespace": "name('unshare', 0x10000000)",
    "removing a file": "os.unlink('/etc/hostname')",
    "a thread with clone's own flags": "syscall(56 if os.uname().machine == 'x86_64' else 220, 0x100, 0, 0, 0, 0)",
}


@pytest.mark.parametrize("what", STOPPED)
def test_in_production_a_forbidden_system_call_kills(what: str) -> None:
    attack, after = judge(f"def f():\n    {STOPPED[what]}\n", "def f():\n    pass\n", stop=True)
    assert (attack.status, attack.error_message) == ("killed", "the program's process ended by itself (SIGSYS)")
    assert after.status == "passed", "the next program is judged as if nothing had happened"


def test_a_child_has_no_environment_and_no_descriptor_but_its_own() -> None:
    source = """
def f():
    found = []
    for number in range(64):
        try:
            os.lseek(number, 0, 1)
            found.append(number)
        except OSError as error:
            if error.errno != errno.EBADF:
                found.append(number)
    return sorted(os.environ), found
"""
    test = "names, descriptors = f()\nassert False, (names, len(descriptors), descriptors[:3])"
    (result,) = judge(source, tests=(test,))
    assert result.error_message == "AssertionError: ([], 4, [0, 1, 2])", "null, null, null and the judge's channel"


def test_a_child_has_a_uid_of_its_own_and_no_capability() -> None:
    (result,) = judge("def f():\n    return os.getuid(), os.geteuid(), os.getgid()", tests=("assert False, f()",))
    uid = int(str(result.error_message).split("(")[1].split(",")[0])
    if os.geteuid() == 0:
        assert uid >= 61184 and str(result.error_message).count(str(uid)) == 3
    else:
        assert uid == os.geteuid()


def test_two_slots_have_two_uids() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives workers a uid of their own")
    source = PREAMBLE + "def f():\n    return os.getuid()"
    programs = [Program(source=source, kind="function", tests=(Test("assert False, f()"),), entry_point="f")] * 40
    results = run_with(programs, Settings(limits=LIMITS, language_layer=False), workers=2)
    assert len({result.error_message for result in results}) == 2


def test_doctor_names_every_wall_with_a_detail() -> None:
    found = walls()
    assert tuple(found) == WALL_NAMES
    assert all(isinstance(wall, Wall) and wall.detail for wall in found.values())
    assert found["no_new_privs"].available and found["rlimits"].available


# A kernel without a wall, made of this one: a filter of our own answers ENOSYS before the sandbox asks.
WITHOUT = """
import ctypes, struct, sys, warnings
from sandbox import harden
from sandbox.syscalls import _op, _LOAD, _JUMP_EQUAL, _RETURN
number = int(sys.argv[1])
ops = _op(_LOAD, 0) + _op(_JUMP_EQUAL, number, 0, 1) + _op(_RETURN, 0x00050000 | 38) + _op(_RETURN, 0x7FFF0000)
code = ctypes.create_string_buffer(ops, len(ops))
class Prog(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
prog = Prog(len(ops) // 8, ctypes.addressof(code))
harden._prctl(38, 1)
assert harden._prctl_of_libc()(22, 2, ctypes.addressof(prog), 0, 0) == 0
warnings.simplefilter("always")
from sandbox import HardeningError, execute
try:
    execute("print(1)")
except HardeningError as error:
    print("refused:", error)
print(execute("print(1)", require_hardening=False).stdout)
"""


def test_on_a_kernel_without_landlock_nothing_runs_unless_told_so() -> None:
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", WITHOUT, "444"], capture_output=True, text=True, cwd=root, timeout=120)
    refused, ran = done.stdout.splitlines()
    assert refused.startswith("refused: the sandbox lacks landlock: ") and "this kernel has no Landlock" in refused
    assert "needs Linux 5.13 or later" in refused and "require_hardening=False" in refused
    assert ran == "b'1\\n'", "without the wall, and said"
    assert "RuntimeWarning: the sandbox runs without landlock: " in done.stderr
