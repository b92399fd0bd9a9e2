# SPDX-License-Identifier: Apache-2.0
"""The command line, `callchannel`: one module for each command, and what they share."""
