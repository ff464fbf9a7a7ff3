"""Whether a socket has something to read, asked without letting another thread run.

Python's own `select` gives up the interpreter's lock around its system call, and who gives it up
among busy threads waits for it again: with 8 threads that costs more than the check-out itself. A
poll that does not wait has no need to.
"""

import ctypes


class _PollFd(ctypes.Structure):
    _fields_ = (("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short))


_POLLIN = 1
_poll = ctypes.PyDLL(None).poll  # the C library's; a PyDLL keeps the interpreter's lock
_poll.argtypes = (ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int)


class Readable:
    """One socket, by its file descriptor."""

    __slots__ = ("_address", "_asked", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._asked = _PollFd(fd, _POLLIN, 0)
        self._address = ctypes.addressof(self._asked)

    def now(self) -> bool:
        """Say whether there is something to read, or the socket has ended or is broken."""
        return bool(_poll(self._address, 1, 0))
