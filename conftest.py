# SPDX-License-Identifier: Apache-2.0
"""How hard the property tests try, everywhere: `HYPOTHESIS_PROFILE=deep` looks longer, and anew each time."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci",
    derandomize=True,
    max_examples=200,
    deadline=None,
    # Machines are slow to build, and several processors may be busy: neither says anything of the code.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile(
    "deep",
    max_examples=10_000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
