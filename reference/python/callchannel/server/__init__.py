# SPDX-License-Identifier: Apache-2.0
"""The relay as a server: signalling over HTTP, admission, limits, metrics, graceful stop.

It needs the extra `relay`. Start with `load_config`, then `run` or `RelayServer`.
"""

from callchannel.server.config import ConfigError, ServerConfig, load_config
from callchannel.server.relay_server import RelayServer, run

__all__ = ["ConfigError", "RelayServer", "ServerConfig", "load_config", "run"]
