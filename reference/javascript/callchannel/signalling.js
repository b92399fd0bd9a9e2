// SPDX-License-Identifier: Apache-2.0
/**
 * The client of a relay's signalling: one HTTP request brings a connection up (chapter 13).
 *
 * @module
 */
import { CallError, Code, invalid } from "./errors.js";

/**
 * What a client does after an error: nothing, with another token, or after a while.
 *
 * @typedef {"no" | "token" | "later"} Again
 */

/**
 * Codes of problems: their status, what the application is told, and whether to try again (13.10).
 *
 * @type {Record<string, [number, number, Again]>}
 */
const PROBLEMS = {
    call_name: [400, Code.INVALID_ARGUMENT, "no"],
    identity: [400, Code.INVALID_ARGUMENT, "no"],
    sdp: [400, Code.PROTOCOL, "no"],
    token_missing: [401, Code.NOT_ADMITTED, "token"],
    token_invalid: [401, Code.NOT_ADMITTED, "token"],
    token_expired: [401, Code.NOT_ADMITTED, "token"],
    origin: [403, Code.NOT_ADMITTED, "no"],
    call: [403, Code.NOT_ADMITTED, "token"],
    not_found: [404, Code.NOT_ADMITTED, "no"],
    method: [405, Code.PROTOCOL, "no"],
    body_size: [413, Code.PROTOCOL, "no"],
    media_type: [415, Code.PROTOCOL, "no"],
    offer: [422, Code.PROTOCOL, "no"],
    offer_rate: [429, Code.RATE, "later"],
    connections: [429, Code.RATE, "later"],
    internal: [500, Code.INTERNAL, "later"],
    call_full: [503, Code.CALL_FULL, "later"],
    stopping: [503, Code.GOING_AWAY, "later"],
    overload: [503, Code.GOING_AWAY, "later"],
};

/** The same by status, for problems that are not known, or not with it (CC-SIG-058). @type {Record<number, [number, Again]>} */
const STATUSES = {
    401: [Code.NOT_ADMITTED, "token"],
    403: [Code.NOT_ADMITTED, "no"],
    404: [Code.NOT_ADMITTED, "no"],
    408: [Code.TIMEOUT, "later"],
    429: [Code.RATE, "later"],
    503: [Code.GOING_AWAY, "later"],
};

const CALL_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;
const ICE_SCHEMES = /^(stun|stuns|turn|turns):/;

/** An error of signalling, told to the application by the code of the table. */
export class SignallingError extends CallError {
    /**
     * @param {number} code
     * @param {number} status of the response; 0: there was none
     * @param {string} problem its code, empty when there was none
     * @param {Again} again
     * @param {number} retryAfter milliseconds before which no offer may be posted
     */
    constructor(code, status, problem, again, retryAfter) {
        super(code, `signalling ${status} ${problem}`.trim());
        this.status = status;
        this.problem = problem;
        this.again = again;
        this.retryAfter = retryAfter;
    }
}

/**
 * @typedef {object} SignallingOptions
 * @property {string} base URL under which the relay offers its signalling
 * @property {string} call name of the call
 * @property {string | (() => string | Promise<string>)} [token] admission token, or what gives a good one each time
 * @property {string} [identity] open mode: the identifier
 * @property {boolean} [allowPlain] whether a token may go over plain HTTP to a host that is no loopback address
 * @property {number} [timeout] milliseconds that a request may take; 10,000 by default
 * @property {typeof fetch} [fetch]
 */

/** @typedef {{ answer: string, resource: string, iceServers: RTCIceServer[] }} Answer */

/** One call's signalling at a relay, over HTTP (chapter 13): `negotiate` is what a call's `connect` needs. */
export class Signalling {
    #options;
    #resource;
    #fetch;
    #notBefore = 0;

    /** @param {SignallingOptions} options raises INVALID_ARGUMENT */
    constructor(options) {
        const base = new URL(options.base);
        if (base.search !== "" || base.hash !== "") throw invalid("base has no query");
        if (!CALL_NAME.test(options.call)) throw invalid("name of the call");
        const plain = base.protocol === "http:" && !options.allowPlain && !LOOPBACK.test(base.hostname);
        if (plain || !/^https?:$/.test(base.protocol)) throw invalid("signalling needs HTTPS");
        this.#options = options;
        this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
        const path = base.pathname.replace(/\/$/, "");
        this.#resource = new URL(`${base.origin}${path}/calls/${options.call}`);
        // CC-SIG-036: percent-encoded. As a form would, URLSearchParams writes + for a space, which stays one there.
        if (options.identity !== undefined) this.#resource.search = `?identity=${encodeURIComponent(options.identity)}`;
    }

    /**
     * ICE servers of the relay, for a client that gathers candidates before it offers.
     *
     * @param {AbortSignal} [signal]
     * @returns {Promise<RTCIceServer[]>}
     */
    async iceServers(signal) {
        const response = await this.#request("OPTIONS", this.#resource, {}, undefined, signal);
        return iceServersOf(response.headers.get("link"), this.#resource);
    }

    /**
     * Posts an offer.
     *
     * @param {string} sdp complete, with all candidates that are to be used
     * @param {AbortSignal} [signal]
     * @returns {Promise<Answer>}
     */
    async offer(sdp, signal) {
        const wait = this.#notBefore - performance.now();
        if (wait > 0) throw new SignallingError(Code.RATE, 0, "", "later", wait); // CC-SIG-068
        const response = await this.#request(
            "POST",
            this.#resource,
            { "Content-Type": "application/sdp" },
            sdp,
            signal,
        );
        const location = response.headers.get("location");
        if (response.status !== 201 || location === null)
            throw new SignallingError(Code.PROTOCOL, response.status, "", "no", 0);
        const resource = new URL(location, this.#resource).href;
        return {
            answer: await response.text(),
            resource,
            iceServers: iceServersOf(response.headers.get("link"), this.#resource),
        };
    }

    /**
     * Closes a connection; that it is gone already is no error.
     *
     * @param {string} resource from the answer
     */
    async close(resource) {
        try {
            await this.#request("DELETE", new URL(resource), {});
        } catch (error) {
            if (!(error instanceof SignallingError) || error.status !== 404) throw error;
        }
    }

    /**
     * Brings a connection up: offer, answer, and the transport when it is open.
     *
     * @param {RTCPeerConnection} connection with the channels created already
     * @param {AbortSignal} [signal]
     * @returns {Promise<Answer>}
     */
    async negotiate(connection, signal) {
        await connection.setLocalDescription();
        await gathered(connection, signal);
        const answer = await this.offer(connection.localDescription?.sdp ?? "", signal);
        await connection.setRemoteDescription({ type: "answer", sdp: answer.answer });
        return answer;
    }

    /**
     * @param {string} method
     * @param {URL} url
     * @param {Record<string, string>} headers
     * @param {string} [body]
     * @param {AbortSignal} [signal]
     * @returns {Promise<Response>}
     */
    async #request(method, url, headers, body, signal) {
        const { token, timeout = 10_000 } = this.#options;
        const given = typeof token === "function" ? await token() : token;
        // CC-SIG-005: the token goes to the base's origin alone, and to no redirect.
        if (given !== undefined && url.origin === this.#resource.origin) headers.Authorization = `Bearer ${given}`;
        const limit = AbortSignal.timeout(timeout);
        let response;
        try {
            response = await this.#fetch(url, {
                method,
                headers,
                body,
                redirect: "error",
                credentials: "omit",
                signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
            });
        } catch (error) {
            if (signal?.aborted) throw new CallError(Code.CANCELLED);
            throw new SignallingError(Code.TIMEOUT, 0, limit.aborted ? "timeout" : "unreachable", "later", 0); // CC-SIG-059
        }
        if (response.ok) return response;
        throw await this.#problem(response);
    }

    /** @param {Response} response */
    async #problem(response) {
        /** @type {unknown} */
        let problem;
        try {
            problem = (await response.json()).code;
        } catch {
            problem = "";
        }
        const name = typeof problem === "string" && Object.hasOwn(PROBLEMS, problem) ? problem : "";
        const byStatus =
            STATUSES[response.status] ?? (response.status >= 500 ? [Code.INTERNAL, "later"] : [Code.PROTOCOL, "no"]);
        const [status, ...byCode] = PROBLEMS[name] ?? [0];
        const [code, again] = status === response.status ? /** @type {[number, Again]} */ (byCode) : byStatus;
        const seconds = Number(response.headers.get("retry-after") ?? 0);
        const retryAfter = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0;
        if (retryAfter > 0) this.#notBefore = performance.now() + retryAfter;
        return new SignallingError(code, response.status, name, again, retryAfter);
    }
}

/**
 * The ICE servers in a Link header; links with another relation and schemes that are not known are passed over
 * (CC-SIG-021).
 *
 * @param {string | null} header
 * @param {URL} base
 * @returns {RTCIceServer[]}
 */
export function iceServersOf(header, base) {
    /** @type {RTCIceServer[]} */
    const servers = [];
    for (const [, target, rest] of (header ?? "").matchAll(
        /<([^>]*)>((?:\s*;\s*[\w-]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]+))*)/g,
    )) {
        /** @type {Record<string, string>} */
        const parameters = {};
        for (const [, name, quoted, plain] of rest.matchAll(
            /;\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]+))/g,
        )) {
            parameters[name.toLowerCase()] = quoted === undefined ? plain : quoted.replace(/\\(.)/g, "$1");
        }
        const url = resolveTarget(target, base);
        if (parameters.rel !== "ice-server" || !ICE_SCHEMES.test(url)) continue;
        const { username, credential } = parameters;
        servers.push(username === undefined ? { urls: url } : { urls: url, username, credential });
    }
    return servers;
}

/**
 * @param {string} target
 * @param {URL} base
 */
function resolveTarget(target, base) {
    if (ICE_SCHEMES.test(target)) return target;
    try {
        return new URL(target, base).href;
    } catch {
        return "";
    }
}

/**
 * @param {RTCPeerConnection} connection
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
function gathered(connection, signal) {
    if (connection.iceGatheringState === "complete") return Promise.resolve();
    return new Promise((resolve, reject) => {
        connection.addEventListener("icegatheringstatechange", () => {
            if (connection.iceGatheringState === "complete") resolve();
        });
        signal?.addEventListener("abort", () => reject(new CallError(Code.CANCELLED)), { once: true });
    });
}
