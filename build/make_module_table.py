"""Print docs/python.md's table: every module of CPython's standard library, tried inside.

    python build/make_module_table.py

imports each module in the wasi back end and, where SMOKE has one, makes a small call.
"""

from __future__ import annotations

import asyncio

from rlm_wasm import Limits
from rlm_wasm.capabilities.workspace import Workspace
from rlm_wasm.errors import LimitExceeded, PythonFailure
from rlm_wasm.python.wasi import WasiPython

SMOKE = {
    "asyncio": "async def f(): return 1\nasyncio.run(f())",
    "base64": "base64.b64encode(b'x')",
    "bisect": "bisect.bisect([1, 3], 2)",
    "collections": "collections.Counter('aab').most_common(1)",
    "csv": "list(csv.reader(['a,b']))",
    "datetime": "datetime.datetime.now().year > 2000",
    "decimal": "str(decimal.Decimal('0.1') + decimal.Decimal('0.2'))",
    "difflib": "difflib.SequenceMatcher(None, 'abc', 'abd').ratio()",
    "hashlib": "hashlib.sha256(b'').hexdigest()",
    "heapq": "heapq.nsmallest(1, [2, 1])",
    "html": "html.escape('<')",
    "json": "json.loads(json.dumps({'a': [1]}))",
    "logging": "logging.getLogger('x').warning('w')",
    "math": "math.sqrt(2)",
    "pathlib": "str(pathlib.PurePath('a') / 'b')",
    "pickle": "pickle.loads(pickle.dumps([1]))",
    "random": "random.random()",
    "re": "re.sub('a+', 'b', 'caat')",
    "sqlite3": "sqlite3.connect(':memory:').execute('select 1').fetchone()",
    "statistics": "statistics.mean([1, 2])",
    "string": "string.Template('$x').substitute(x=1)",
    "subprocess": "subprocess.run(['true'])",
    "socket": "socket.socket()",
    "struct": "struct.pack('<i', 1)",
    "tempfile": "tempfile.mkstemp()",
    "textwrap": "textwrap.wrap('a b c', 3)",
    "threading": "threading.Thread(target=print).start()",
    "time": "time.time() > 0",
    "unicodedata": "unicodedata.name('a')",
    "urllib.parse": "urllib.parse.urlparse('http://a/b').path",
    "urllib.request": "urllib.request.urlopen('http://localhost/')",
    "uuid": "uuid.uuid5(uuid.NAMESPACE_URL, 'x')",
    "xml.etree.ElementTree": "xml.etree.ElementTree.fromstring('<a/>').tag",
    "zlib": "zlib.decompress(zlib.compress(b'x'))",
    "zoneinfo": "zoneinfo.ZoneInfo('Europe/Paris')",
}


async def rows() -> list[tuple[str, str]]:
    """(module, what happened) for each public top-level module."""
    python = WasiPython(limits=Limits(), workspace=Workspace(None))
    listed = await python.run(
        "eval",
        ["import sys\n[n for n in sys.stdlib_module_names if n[0] != '_']"],
        fuel=20_000_000_000,
        timeout_s=60,
    )
    names = sorted({*listed.value, *SMOKE})
    found = []
    for name in names:
        if name in ("antigravity", "this", "idlelib"):
            continue
        try:
            code = f"import {name}\n{SMOKE.get(name, '')}"
            await python.run("exec", [code], fuel=20_000_000_000, timeout_s=60)
            found.append((name, "works" if name in SMOKE else "imports"))
        except PythonFailure as failure:
            found.append((name, "no: " + str(failure).split("\n")[0][:90]))
        except LimitExceeded as limit:
            found.append((name, f"no: {limit}"))
    await python.aclose()
    return found


if __name__ == "__main__":
    table = asyncio.run(rows())
    good = sum(not outcome.startswith("no") for _, outcome in table)
    print(f"{good} of {len(table)} modules of the standard library work.\n")
    print("| module | inside |\n|---|---|")
    for module, outcome in table:
        print(f"| `{module}` | {outcome.replace('|', '/')} |")
