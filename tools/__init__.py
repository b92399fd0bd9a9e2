# SPDX-License-Identifier: Apache-2.0
"""Tools that keep the standard honest: they read `spec/`, check it, and draw its tables and diagrams.

Start with `tools.spec.load_spec`. `python -m tools.spec_check` and `python -m tools.spec_render` are the commands.
"""
