"""Code that the manual shows, as a site would paste it."""

from typing import Any

from tests.documents.reading import blocks, document


def pasted(page: str, name: str, module: str) -> Any:
    """Return the class or function that a block of a page defines, as if the module had defined it."""
    [code] = [code for _, code in blocks(document(page)) if f"class {name}" in code or f"def {name}" in code]
    namespace = {"__name__": module}
    exec(code, namespace)
    return namespace[name]
