// SPDX-License-Identifier: Apache-2.0
// Reads everything that comes: texts, images, files. Pointers have a channel of their own.
import { CallError, Code } from "./callchannel/index.js";
import { announce } from "./notices.js";
import { pictureType } from "./pictures.js";
import { POINTERS } from "./pointers.js";
import { reason, shown, size } from "./words.js";

/** @typedef {import("./callchannel/index.js").IncomingMessage} IncomingMessage */
/** @typedef {import("./callchannel/index.js").CallReceiver} CallReceiver */

/** The most bytes of a file that are taken. */
const LARGEST = 1_073_741_824;
/** Bytes after which what has come is handed to the browser, which may keep it on the disk. */
const PART = 4_194_304;

export class Receiving {
    #log;
    #pointers;

    /**
     * @param {import("./callchannel/index.js").Call} call
     * @param {import("./log.js").Log} log
     * @param {import("./pointers.js").Pointers} pointers
     */
    constructor(call, log, pointers) {
        this.#log = log;
        this.#pointers = pointers;
        call.addEventListener("receiver", (event) => {
            void this.#read(/** @type {any} */ (event).detail);
        });
    }

    /** @param {CallReceiver} receiver */
    async #read(receiver) {
        if (receiver.channel === POINTERS && !receiver.reliable) {
            for await (const message of receiver) this.#pointers.moved(receiver.participant, message.data);
            return;
        }
        for await (const message of receiver) {
            try {
                await this.#take(receiver, message);
            } catch (error) {
                const words = error instanceof Error ? error.message : String(error);
                this.#log.event(`A message of ${shown(receiver.participant.id)} can't be shown: ${words}`);
            }
        }
    }

    /** @param {CallReceiver} receiver @param {IncomingMessage} message */
    async #take(receiver, message) {
        const { id } = receiver.participant;
        const about = [message.private ? "to some" : "", receiver.reliable ? "" : "Lossy", receiver.high ? "high" : ""];
        const entry = this.#log.add({ id, own: false, about: about.filter((word) => word !== "").join(", ") });
        const plain = message.name === undefined && /^text\/|^$/.test(message.contentType ?? "");
        if (plain && !message.isStream) {
            const text = await message.text();
            if (text !== null) {
                entry.text(text);
                announce(`${shown(id)}: ${text.slice(0, 200)}`);
                return;
            }
        }
        const blob = await this.#collect(receiver, message, entry);
        if (blob === null) return;
        const type = await pictureType(blob);
        if (type !== null) entry.picture(new Blob([blob], { type }), message.name);
        entry.file(blob, message.name);
        announce(`${shown(id)} has sent ${type === null ? "a file" : "an image"}, ${size(blob.size)}`);
    }

    /**
     * All bytes of a file, or null where they are not wanted or did not all come.
     *
     * @param {CallReceiver} receiver
     * @param {IncomingMessage} message
     * @param {import("./log.js").Entry} entry
     */
    async #collect(receiver, message, entry) {
        const total = message.size ?? null;
        let refused = false;
        const progress = entry.transfer(message.name ?? "a file", {
            label: "Refuse",
            act: () => {
                refused = true;
                receiver.close();
            },
        });
        /** @type {Blob[]} */
        const parts = [];
        /** @type {Uint8Array<ArrayBuffer>[]} */
        let chunks = [];
        let held = 0;
        let done = 0;
        progress(0, total);
        try {
            for await (const chunk of message.chunks()) {
                chunks.push(/** @type {Uint8Array<ArrayBuffer>} */ (chunk));
                held += chunk.length;
                done += chunk.length;
                if (held >= PART) {
                    parts.push(new Blob(chunks));
                    chunks = [];
                    held = 0;
                }
                progress(done, total);
                if (done > LARGEST) {
                    receiver.close();
                    entry.note(`Refused: it is larger than ${size(LARGEST)}.`);
                    return null;
                }
            }
        } catch (error) {
            const code = error instanceof CallError ? error.code : Code.INTERNAL;
            if (!refused) entry.note(`It did not come whole: ${reason(code)}.`);
            refused = refused || error instanceof CallError;
            if (!(error instanceof CallError)) throw error;
        } finally {
            entry.arrived();
        }
        if (refused) {
            entry.note("Not kept.");
            return null;
        }
        return new Blob([...parts, ...chunks]);
    }
}
