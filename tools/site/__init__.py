# SPDX-License-Identifier: Apache-2.0
"""Builds the published site with mkdocs: `mkdocs.yml` names `hooks.py`, which uses the rest.

The chapters stay in `spec/`, and are changed on their way into the site only in form: bit diagrams become SVG, examples
in hexadecimal are coloured, state tables become readable, requirements get anchors. Nothing here needs a network.
"""
