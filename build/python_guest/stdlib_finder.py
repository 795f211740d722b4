"""The standard library as compressed code objects.

Only what is in memory when the component is made exists later: there is no file system. So while
it is made this module compiles every library module that it finds on disk, and later serves
imports from that table. It is made once; at run time it is only read.
"""

import importlib.machinery
import importlib.util
import marshal
import os
import sys
import zlib

LEFT_OUT = {
    "__pycache__", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages", "test", "tests",
    "tkinter",
    "turtledemo", "venv", "_pyrepl", "msilib", "turtle.py", "antigravity.py", "this.py", "__phello__",
}  # fmt: skip

after = {}  # name: what is to be done to a module once it is there
_modules = {}  # name: (is_package, compressed code)


def _collect(folder, prefix=""):
    for entry in sorted(os.listdir(folder)):
        path = os.path.join(folder, entry)
        if entry in LEFT_OUT:
            continue
        if os.path.isdir(path):
            if os.path.isfile(os.path.join(path, "__init__.py")):
                _add(prefix + entry, os.path.join(path, "__init__.py"), True)
                _collect(path, prefix + entry + ".")
        elif entry.endswith(".py") and entry != "__init__.py":
            _add(prefix + entry[:-3], path, False)


def _add(name, path, package):
    if name in sys.modules:
        return
    try:
        with open(path, "rb") as file:
            code = compile(file.read(), f"<{name}>", "exec", dont_inherit=True, optimize=2)
    except (SyntaxError, ValueError, OSError):
        return
    _modules[name] = (package, zlib.compress(marshal.dumps(code), 9))


class Finder:
    """The last of ``sys.meta_path``."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in _modules:
            return None
        return importlib.machinery.ModuleSpec(name, Finder, is_package=_modules[name][0])

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        name = module.__spec__.name
        exec(marshal.loads(zlib.decompress(_modules[name][1])), module.__dict__)
        if name in after:
            after[name](module)


def install():
    """Collect, and serve imports from now on."""
    import json  # not frozen: it tells where the library lies

    _collect(os.path.dirname(os.path.dirname(json.__file__)))
    sys.meta_path.append(Finder)
