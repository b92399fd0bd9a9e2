# SPDX-License-Identifier: Apache-2.0
"""The checks. Each names the requirements that it judges; its name never changes."""
