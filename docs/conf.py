"""The manual, built by ``make docs``."""

import sys
from pathlib import Path

import django
from django.conf import settings

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import django_migma  # noqa: E402 - found by the line above

settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django_migma"])
django.setup()

project = "django-migma"
copyright = "the django-migma founders"  # noqa: A001 - Sphinx's own name
version = release = django_migma.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosectionlabel"]
exclude_patterns = ["_build", "performance/tables.rst", "works-with/table.rst"]
html_theme = "furo"
html_title = f"django-migma {release}"
html_copy_source = False

# :ref:`settings:The API key` is the section of that title in settings.rst.
autosectionlabel_prefix_document = True
autosectionlabel_maxdepth = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
# The builds have no network, so types of Python and Django are not linked.
nitpick_ignore_regex = [
    ("py:.*", r"(collections\.abc|datetime|typing|django)\..*"),
    ("py:.*", r"(Any|Mapping|Sequence|Iterable|Iterator|Callable|bool|bytes|dict|float|int|list|str|tuple|None)"),
]


def hide_signature(app, what, name, obj, options, signature, return_annotation):  # noqa: PLR0917 - Sphinx's own
    """Leave out the signatures of exceptions: readers catch them, and the attributes stand in the text."""
    return ("", None) if what == "exception" and signature else None


def setup(app):
    app.connect("autodoc-process-signature", hide_signature)
