// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { safeName } from "../callchannel/names.js";

test("what is left of a file name is harmless", () => {
    /** @type {[string | null, string][]} */
    const cases = [
        ["photo.jpg", "photo.jpg"],
        ["Übung 1.txt", "Übung 1.txt"],
        ["../../etc/passwd", "passwd"],
        ["C:\\Windows\\system32\\calc.exe", "calc.exe"],
        ["..", "file"],
        ["", "file"],
        [null, "file"],
        ["dir/", "file"],
        [".bashrc", "bashrc"],
        ["a\u0000b\n.txt", "ab.txt"],
        ["invoice\u202efdp.exe", "invoicefdp.exe"],
        ["zero\u200bwidth", "zerowidth"],
        ["lone\ud800surrogate", "lonesurrogate"],
        ["file.txt:stream", "file.txt_stream"],
        ["what?*<>|.txt", "what_____.txt"],
        ["trailing. . .", "trailing"],
        ["CON", "_CON"],
        ["com1.txt", "_com1.txt"],
        ["lpt²", "_lpt²"],
        ["console.txt", "console.txt"],
        ["x".repeat(300) + ".png", "x".repeat(196) + ".png"],
        ["é".repeat(150), "é".repeat(100)],
        ["a." + "b".repeat(300), "a." + "b".repeat(198)],
        ["<img src=x onerror=alert(1)>.png", "_img src=x onerror=alert(1)_.png"],
    ];
    for (const [hostile, safe] of cases) {
        assert.equal(safeName(hostile), safe);
        assert.equal(safeName(safe), safe);
    }
});
