// SPDX-License-Identifier: Apache-2.0
/**
 * The core without input and output: an endpoint in virtual time.
 *
 * @module
 */
export { Endpoint } from "./endpoint.js";
export { CallError, Code, codeName, codeRetry, codeScope } from "./errors.js";
export { LIMITS, resolveLimits } from "./limits.js";
