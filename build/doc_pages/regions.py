"""Generated parts of hand-written pages.

A page says ``<!-- KIND: NAME -->`` (or ``<!-- KIND -->``) where a generated part begins and
``<!-- end -->`` where it ends; what stands between is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Renderer = Callable[[str], str]
"""The text of a part by its name ("" where the page gives none)."""


def filled(page: str, renderers: Mapping[str, Renderer]) -> str:
    """A page with its parts as they should be.

    Raises:
        ValueError: a part has no end, or ends before it begins.
    """
    kinds = "|".join(map(re.escape, renderers))
    begins = re.compile(rf"^<!-- ({kinds})(?:: ([\w. -]+?))? -->\n", re.MULTILINE)
    done, at = [], 0
    while begin := begins.search(page, at):
        end = page.find("<!-- end -->", begin.end())
        following = begins.search(page, begin.end())
        if end < 0 or (following and following.start() < end):
            raise ValueError(f"{begin[0].strip()} has no <!-- end -->")
        text = renderers[begin[1]](begin[2] or "").strip("\n")
        done += [page[at : begin.end()], text, "\n"]
        at = end
    return "".join([*done, page[at:]])
