// SPDX-License-Identifier: Apache-2.0
/**
 * The version of this package, as in package.json. It is that of the Python packages, written as npm does.
 *
 * @module
 */
export const VERSION = "0.1.0-dev.0";
