# SPDX-License-Identifier: Apache-2.0
"""Fuzzing of the core: for each target a plain function of bytes, driven by atheris, by Hypothesis, and by kept files.

`python -m fuzz --for 60 --only relay` needs the extra `fuzz` (atheris); the functions need nothing.
"""
