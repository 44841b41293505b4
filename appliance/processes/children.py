"""Limited children: programs of ours that may crash, hang or be hurt without hurting us.

A child is a fresh Python, never a fork. It speaks over two pipes of its own (stdout belongs to whoever prints), frame by
frame: four bytes of length, a JSON object, then as many raw bytes as its `bytes` says. Nothing is ever unpickled.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

MIB: Final = 1 << 20
MAX_HEAD: Final = 256 << 10  # bytes of a frame's JSON
_PIPE_BYTES: Final = MIB  # a slice passes in one go; the kernel may give less
_PR_SET_PDEATHSIG: Final = 1
_KILL_WAIT_S: Final = 2.0
_FIRST_TO_GO: Final = 500  # of 1000; a program may have a score below 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a child may use. `cpu_s` is meant for one piece of work: see `allow_cpu`."""

    memory_bytes: int
    cpu_s: int
    open_files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One message: a JSON object and raw bytes."""

    head: dict[str, Any]
    body: bytes = b""


class GarbledFrame(Exception):
    """The other side wrote something that is no frame."""


def packed(head: dict[str, Any], body_bytes: int = 0) -> bytes:
    """The beginning of a frame; the body follows as it is."""
    said = json.dumps({**head, "bytes": body_bytes}, separators=(",", ":")).encode()
    return len(said).to_bytes(4, "big") + said


class FrameReader:
    """Frames out of a stream that comes in pieces. `max_body` bounds what the other side can make us keep."""

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self._kept = bytearray()
        self._head: dict[str, Any] | None = None
        self._needed = 4

    def feed(self, piece: bytes) -> list[Frame]:
        """The frames that are complete now. GarbledFrame if the stream makes no sense."""
        self._kept += piece
        frames: list[Frame] = []
        while len(self._kept) >= self._needed:
            if self._head is None:
                length = int.from_bytes(self._kept[:4], "big")
                if not 2 <= length <= MAX_HEAD:
                    raise GarbledFrame
                if len(self._kept) < 4 + length:
                    self._needed = 4 + length
                    break
                self._head = self._parsed(bytes(self._kept[4 : 4 + length]))
                del self._kept[: 4 + length]
                self._needed = self._head["bytes"]
            else:
                frames.append(Frame(head=self._head, body=bytes(self._kept[: self._needed])))
                del self._kept[: self._needed]
                self._head, self._needed = None, 4
        return frames

    def _parsed(self, said: bytes) -> dict[str, Any]:
        try:
            head = json.loads(said)
        except (ValueError, RecursionError) as error:
            raise GarbledFrame from error
        size = head.get("bytes") if isinstance(head, dict) else None
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= self._max_body:
            raise GarbledFrame
        found: dict[str, Any] = head
        return found


class LimitedChild:
    """The parent's end of one child. Nothing here blocks but the start itself.

    `command REQUEST_FD ANSWER_FD PARENT_PID [LENT_FD ...]` is started; it limits itself before it does anything else.
    OSError if the system gives us no process.
    """

    def __init__(
        self,
        command: Sequence[str],
        max_answer: int,
        *,
        lent_fds: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment`: what the child is told beside ours."""
        request_read, self.request_fd = os.pipe2(os.O_CLOEXEC)
        try:
            self.answer_fd, answer_write = os.pipe2(os.O_CLOEXEC)
        except OSError:  # no file more: the two that there are must not stay open for good
            os.close(request_read)
            os.close(self.request_fd)
            raise
        for fd in (self.request_fd, self.answer_fd):
            _widen(fd)
            os.set_blocking(fd, False)
        try:
            self._process = subprocess.Popen(
                [*command, *map(str, (request_read, answer_write, os.getpid(), *lent_fds))],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(request_read, answer_write, *lent_fds),
                env={**_environment(), **(environment or {})},
            )
        except OSError:
            os.close(self.request_fd)
            os.close(self.answer_fd)
            raise
        finally:
            os.close(request_read)
            os.close(answer_write)
        self._outgoing: list[memoryview] = []
        self._incoming = FrameReader(max_answer)
        self._closed = False

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """As `subprocess` says it; None while it lives, or hangs in the kernel after `kill`."""
        return self._process.poll()

    @property
    def wants_to_write(self) -> bool:
        """Whether a part of a request is still to be sent."""
        return bool(self._outgoing)

    def send(self, head: dict[str, Any], body: bytes) -> None:
        """Takes a request and sends what the pipe takes now."""
        self._outgoing += [memoryview(packed(head, len(body))), memoryview(body)]
        self.pump_out()

    def pump_out(self) -> bool:
        """Sends what the pipe takes. False if the child is gone."""
        while self._outgoing:
            try:
                sent = os.writev(self.request_fd, self._outgoing)
            except BlockingIOError:
                return True
            except OSError:
                return False
            while self._outgoing and sent >= len(self._outgoing[0]):
                sent -= len(self._outgoing.pop(0))
            if sent:
                self._outgoing[0] = self._outgoing[0][sent:]
        return True

    def pump_in(self) -> list[Frame] | None:
        """The frames that have come, or None if the child is gone. GarbledFrame if it speaks nonsense."""
        frames: list[Frame] = []
        while True:
            try:
                piece = os.read(self.answer_fd, 4 * MIB)
            except BlockingIOError:
                return frames
            except OSError:
                return frames or None
            if not piece:
                return frames or None
            frames += self._incoming.feed(piece)

    def kill(self, grace_s: float = 0.0) -> None:
        """Closes its pipes and ends the child, if it has not ended by itself after `grace_s`. May be called again."""
        if self._closed:
            return
        self._closed = True
        os.close(self.request_fd)
        os.close(self.answer_fd)
        if grace_s:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
        self._process.kill()
        try:
            self._process.wait(_KILL_WAIT_S)
        except subprocess.TimeoutExpired:
            return  # it hangs in the kernel; it holds none of our pipes


def _widen(fd: int) -> None:
    try:
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:
        return  # a smaller pipe only costs more turns


def _environment() -> dict[str, str]:
    """Ours, with one thread for every numerical library: the work is small and the cores are shared."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(threads, "1"), "PYTHONDONTWRITEBYTECODE": "1"}


def limit_myself(limits: Limits) -> None:
    """In the child, before anything else: less memory, no files written, no core dumps, few open files."""
    first_to_go()
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits.open_files, limits.open_files))


def first_to_go() -> None:
    """In the child: when the machine runs out of memory the kernel takes it first; its parent gets over it."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write(str(_FIRST_TO_GO))


def allow_cpu(limits: Limits) -> None:
    """In the child, before each piece of work: so many more seconds of processor time, then the kernel ends it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(
        resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + limits.cpu_s, resource.RLIM_INFINITY)
    )


def die_with(parent_pid: int) -> None:
    """In the child: die when the parent does, however it dies, and leave Ctrl-C to it.

    The kernel means the parent's thread that started us, so start children from a thread that stays.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        sys.exit(0)  # it died before we asked


class ChildEnd:
    """The child's end of the pipes. Blocking: a child does one thing."""

    def __init__(self, request_fd: int, answer_fd: int, max_request: int) -> None:
        self._request_fd, self._answer_fd = request_fd, answer_fd
        self._max_request = max_request

    def receive(self) -> Frame | None:
        """The next request; None when the parent has closed its end."""
        size = self._exactly(4)
        if size is None:
            return None
        said = self._exactly(int.from_bytes(size, "big"))
        head: dict[str, Any] = json.loads(said or b"{}")
        if said is None or not 0 <= head["bytes"] <= self._max_request:
            return None
        body = self._exactly(head["bytes"])
        return None if body is None else Frame(head=head, body=body)

    def answer(self, head: dict[str, Any], body: bytes | memoryview = b"") -> None:
        """Writes one answer."""
        for part in (memoryview(packed(head, len(body))), memoryview(body)):
            while part:
                part = part[os.write(self._answer_fd, part) :]

    def _exactly(self, size: int) -> bytes | None:
        kept = bytearray(size)
        view, at = memoryview(kept), 0
        while at < size:
            got = os.readv(self._request_fd, [view[at:]])
            if got == 0:
                return None
            at += got
        return bytes(kept)
