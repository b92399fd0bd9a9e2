# SPDX-License-Identifier: Apache-2.0
"""How fast callchannel is, measured beside what a user would pick instead: `python -m bench --help`.

Every figure of ours stands beside a peer's that was taken in the same run, by turns. What is compared, and why it is
fair, is said at each benchmark. Absolute figures depend on the machine; ratios much less.
"""
