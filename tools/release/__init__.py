# SPDX-License-Identifier: Apache-2.0
"""A release: one version, a typed changelog, packages, an archive of the standard, and a trial of each.

`python -m tools.release.build` makes everything, `python -m tools.release.trial` tries it where nothing else is.
"""
