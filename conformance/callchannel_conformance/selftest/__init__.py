# SPDX-License-Identifier: Apache-2.0
"""The suite tests itself: defects have to die, legal variants to pass, bad adapters to be seen for what they are."""
