"""``asyncio`` without sockets: an event loop whose only event is that time goes by.

Python's own loop makes a pair of sockets to be woken by other threads. There are neither here, and what
asks for a socket is an OSError, so that nothing is lost by trying.
"""

import selectors
import time

import stdlib_finder


def install():
    """When asyncio or socket are first imported, they become ours."""
    stdlib_finder.after["asyncio"] = _patch
    stdlib_finder.after["socket"] = _without_network


def _without_network(socket):
    def refuse(*_, **__):
        raise OSError(58, "there is no network here")

    socket.socket.__init__ = refuse
    for name in ("socketpair", "create_connection", "create_server", "fromfd"):
        setattr(socket, name, refuse)
    for name in ("getaddrinfo", "getnameinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        setattr(socket, name, refuse)


def _patch(asyncio):
    class Selector(selectors.BaseSelector):
        """Nothing can be watched; to select is to sleep."""

        def register(self, fileobj, events, data=None):
            raise OSError("there are no sockets and pipes here to wait for")

        def unregister(self, fileobj):
            raise KeyError(fileobj)

        def select(self, timeout=None):
            if timeout is None:
                raise RuntimeError("every task waits, and nothing is left that could wake one")
            if timeout > 0:
                time.sleep(timeout)
            return []

        def get_map(self):
            return {}

    class Loop(asyncio.SelectorEventLoop):
        """The loop that asyncio.run makes."""

        def __init__(self):
            super().__init__(Selector())

        def _make_self_pipe(self):
            pass

        def _close_self_pipe(self):
            pass

        def _write_to_self(self):
            pass

    type(asyncio.events._get_event_loop_policy())._loop_factory = Loop
    asyncio.SelectorEventLoop = asyncio.EventLoop = Loop
