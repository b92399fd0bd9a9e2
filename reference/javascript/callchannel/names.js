// SPDX-License-Identifier: Apache-2.0
/**
 * File names that come from a peer (chapter 16): what is left of one is harmless on any system.
 *
 * @module
 */

/** Bytes of UTF-8: file systems take 255, and a number may have to be added. */
const LONGEST = 200;
const LONGEST_SUFFIX = 20;

const DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?:\.|$)/i;
const ENDS = /^[ .\u00a0]+|[ .\u00a0]+$/g;
const encoder = new TextEncoder();

/**
 * The last component of a name without anything that a file system, a shell or a reader's eye could mistake: no
 * separator, no control or formatting character, no dot or space at either end, no device of Windows, at most 200
 * bytes. Never empty.
 *
 * @param {string | null | undefined} name
 * @param {string} [otherwise] where nothing is left
 */
export function safeName(name, otherwise = "file") {
    let text = (name ?? "").normalize("NFC");
    text = /** @type {string} */ (text.split(/[/\\]/).pop());
    text = text
        .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, "")
        .replace(/[<>:"|?*]/g, "_")
        .replace(ENDS, "");
    if (DEVICE.test(text)) text = `_${text}`;
    return shorten(text).replace(ENDS, "") || otherwise;
}

/** @param {string} name */
function shorten(name) {
    if (encoder.encode(name).length <= LONGEST) return name;
    const dot = name.lastIndexOf(".");
    const size = encoder.encode(name.slice(dot + 1)).length;
    const suffix = dot > 0 && size < LONGEST_SUFFIX ? name.slice(dot) : "";
    const stem = suffix === "" ? name : name.slice(0, dot);
    const cut = encoder.encode(stem).subarray(0, LONGEST - encoder.encode(suffix).length);
    // What is left of a character that was cut through is no character.
    return new TextDecoder().decode(cut).replace(/\ufffd+$/, "") + suffix;
}
