"""The configuration of Sphinx. Each code cell runs in a build, and each warning is an error."""

from __future__ import annotations

import os
import sys
import sysconfig
from importlib.metadata import version as installed_version
from pathlib import Path

EXTENSIONS = str(Path(__file__).parent / "_extensions")
sys.path.insert(0, EXTENSIONS)

project = "l0"
author = "The l0 developers"
version = release = installed_version("l0-python")
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.githubpages",  # .nojekyll: GitHub Pages would leave out `_static`
    "numpydoc",
    "myst_nb",
    "mathml",
    "search_check",
]
exclude_patterns = ["_build", "mnist_results.md"]  # a table that a page includes

# Cells run in each build, because a cache may have outputs of an older version of the package.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_in_temp = True
nb_execution_timeout = 240
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
nb_merge_streams = True  # one print after another is one box
# The scripts of widgets would come from the network, and no cell makes widgets.
nb_ipywidgets_js = {}

# For cells: the commands of this environment, the width of a page, and `_extensions/cells.py`.
os.environ["PATH"] = sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"]
os.environ["COLUMNS"] = "88"
os.environ["PYTHONPATH"] = EXTENSIONS

myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3

# The pages name the module from which users import a name.
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings name the types, with shapes and units
autodoc_inherit_docstrings = False
default_role = "code"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "furo"
html_title = "l0"
html_baseurl = "https://policyengine.github.io/L0/"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_copyright = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
