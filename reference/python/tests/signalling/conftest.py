# SPDX-License-Identifier: Apache-2.0
"""These tests run over real sockets."""

from tests.over_sockets import configure, key, pytest_pyfunc_call

__all__ = ["configure", "key", "pytest_pyfunc_call"]
