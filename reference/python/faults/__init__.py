# SPDX-License-Identifier: Apache-2.0
"""Faults for real: calls of several processes over WebRTC, to which things happen (not shipped with the package).

Connections that are cut, processes that are killed or stopped, a network that loses packets, peers that make a relay
keep as much as they can. `python -m faults --help` says how; each scenario is a module here, `scenarios` lists them.
"""
