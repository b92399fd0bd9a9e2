# SPDX-License-Identifier: Apache-2.0
"""The demonstration: a real call of several processes on this machine, measured where it arrives, and checked.

`callchannel demo` runs it; see `callchannel.demo.scenario` for what happens in it.
"""
