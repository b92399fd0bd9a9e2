#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
/**
 * The adapter of this implementation for the conformance suite, in Node: requests come on standard input, replies go to
 * standard output.
 *
 * @module
 */
import { answer } from "./adapter-answers.js";

const LINE_FEED = 0x0a;

/** @type {Buffer[]} */
let begun = [];
for await (const chunk of process.stdin) {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
        const line = Buffer.concat([...begun, chunk.subarray(start, end)]).toString("utf8");
        begun = [];
        start = end + 1;
        process.stdout.write(`${answer(line, (text) => process.stderr.write(`${text}\n`))}\n`);
    }
    if (start < chunk.length) begun.push(chunk.subarray(start));
}
