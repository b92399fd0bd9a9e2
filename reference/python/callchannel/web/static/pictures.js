// SPDX-License-Identifier: Apache-2.0
// Which bytes are a raster image. What a sender says about them decides nothing.

/** The most bytes of an image that are shown; a larger one is a file. */
export const LARGEST = 16_777_216;

/** @type {[type: string, offset: number, magic: string][]} */
const KINDS = [
    ["image/png", 0, "\x89PNG\r\n\x1a\n"],
    ["image/jpeg", 0, "\xff\xd8\xff"],
    ["image/gif", 0, "GIF87a"],
    ["image/gif", 0, "GIF89a"],
    ["image/webp", 8, "WEBP"],
    ["image/avif", 4, "ftypavif"],
];

/**
 * The type of a raster image by its first bytes; null for everything else, SVG among it.
 *
 * @param {Blob} blob
 * @returns {Promise<string | null>}
 */
export async function pictureType(blob) {
    if (blob.size > LARGEST) return null;
    const head = new Uint8Array(await blob.slice(0, 16).arrayBuffer());
    const text = String.fromCharCode(...head);
    return KINDS.find(([, offset, magic]) => text.startsWith(magic, offset))?.[0] ?? null;
}
