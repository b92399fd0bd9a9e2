// SPDX-License-Identifier: Apache-2.0
// What npm is given: every entry is there, and the README's first example does what it says, by the package's name.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { access, readFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const ROOT = new URL("../", import.meta.url);

test("every entry of the package is a module, and its types come from one", async () => {
    const { exports, files } = JSON.parse(await readFile(new URL("package.json", ROOT), "utf8"));
    assert.deepEqual(files, ["callchannel", "types"]);
    for (const [name, { types, default: module }] of Object.entries(exports)) {
        await access(new URL(module, ROOT));
        assert.equal(types, module.replace("./callchannel/", "./types/").replace(".js", ".d.ts"), name);
        assert.ok(Object.keys(await import(new URL(module, ROOT).href)).length > 0, name);
    }
});

test("the first example of the README", async () => {
    const readme = await readFile(new URL("README.md", ROOT), "utf8");
    const example = /```js\n(.*?)```/s.exec(readme)?.[1] ?? "";
    const run = promisify(execFile);
    const options = { cwd: fileURLToPath(ROOT), timeout: 60_000 };
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", example], options);
    assert.equal(stdout, "ann says hello, Bob\nread by bob\n");
});
