# SPDX-License-Identifier: Apache-2.0
"""Where the test vectors are stated: bytes by hand-written layout, expectations by rule.

`layout` puts bytes together, `book` collects vectors and holds the rules' codes and reasons, and one module for each
file of vectors states what is in it. Nothing here uses an implementation's encoder, nor the wire grammar of the
conformance suite: `tools.vectors` compares the two, and writes the files.
"""
