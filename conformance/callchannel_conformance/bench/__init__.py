# SPDX-License-Identifier: Apache-2.0
"""The bench: machines under test, scripted far sides of their links, a virtual clock, and a monitor on every link."""
