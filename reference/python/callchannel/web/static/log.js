// SPDX-License-Identifier: Apache-2.0
// The messages of a call, and what became of each.
import { safeName } from "./callchannel/index.js";
import { box, button, make } from "./dom.js";
import { mark } from "./people.js";
import { clock, reason, shown, size } from "./words.js";

/** @typedef {import("./callchannel/verdicts.js").Report} Report */

/** Entries that are kept; the oldest go, and the memory of their images and files with them. */
const KEPT = 300;
/** Characters of a text that are shown at once. */
const LONG = 4000;
/** Verdicts that are listed one by one. */
const LISTED = 12;

/** One message. */
export class Entry {
    /** @type {string[]} addresses of what is kept in memory for it */
    #addresses = [];
    #body = make("div", { class: "body" });
    #fate = make("ul", { class: "fate" });
    /** @type {HTMLElement | null} */
    #transfer = null;

    /**
     * @param {{ id: string, own: boolean, about: string }} origin
     */
    constructor({ id, own, about }) {
        this.element = make("li", { class: own ? "entry own" : "entry" }, mark(id));
        const head = make("p", { class: "head" }, make("b", own ? "You" : shown(id)));
        head.append(" ", make("span", { class: "about", text: about }), " ", make("time", clock(Date.now())));
        this.#fate.setAttribute("aria-label", "What became of it");
        this.element.append(make("div", { class: "bubble" }, head, this.#body, ...(own ? [this.#fate] : [])));
    }

    /** @param {string} text of whoever sent it */
    text(text) {
        const short = text.length > LONG ? `${text.slice(0, LONG)}…` : text;
        const paragraph = make("p", { class: "text", text: short });
        paragraph.dir = "auto";
        this.#body.append(paragraph);
        if (short === text) return;
        const more = button(`Show all ${text.length.toLocaleString()} characters`, () => {
            paragraph.textContent = text;
            more.remove();
        });
        this.#body.append(more);
    }

    /** @param {string} text of this page */
    note(text) {
        this.#body.append(make("p", { class: "help", text }));
    }

    /**
     * A file on its way.
     *
     * @param {string} name
     * @param {{ label: string, act: () => void }} stop
     */
    transfer(name, stop) {
        const bar = make("progress");
        bar.setAttribute("aria-label", `Progress of ${shown(name, 60)}`);
        const told = make("span", { class: "help" });
        const line = make("div", { class: "transfer" }, make("span", { class: "file-name", text: shown(name, 60) }));
        line.append(bar, told, button(stop.label, stop.act, "small quiet"));
        this.#transfer?.remove();
        this.#transfer = line;
        this.#body.append(line);
        /** @param {number} done @param {number | null} total */
        return (done, total) => {
            if (total !== null && total > 0) {
                bar.max = total;
                bar.value = Math.min(done, total);
            }
            told.textContent = total === null ? size(done) : `${size(done)} of ${size(total)}`;
        };
    }

    /** Nothing is on its way any more. */
    arrived() {
        this.#transfer?.remove();
        this.#transfer = null;
    }

    /**
     * A file to keep. It is never opened here: whatever it claims to be, it is downloaded as bytes.
     *
     * @param {Blob} blob
     * @param {string | undefined} name of whoever sent it
     */
    file(blob, name) {
        const link = make("a", { class: "download", text: `Download ${shown(safeName(name), 60)}` });
        link.href = this.#address(new Blob([blob], { type: "application/octet-stream" }));
        link.download = safeName(name);
        this.#body.append(make("p", {}, link, make("span", { class: "help", text: ` ${size(blob.size)}` })));
    }

    /**
     * A raster image, by its own bytes.
     *
     * @param {Blob} blob
     * @param {string | undefined} name
     */
    picture(blob, name) {
        const image = make("img", { class: "picture" });
        image.alt = `Image ${shown(safeName(name, "without a name"), 60)}`;
        image.decoding = "async";
        image.addEventListener("error", () => {
            image.remove();
            this.note("This image can't be shown.");
        });
        image.src = this.#address(blob);
        this.#body.append(image);
    }

    /** @param {Blob} blob */
    #address(blob) {
        const address = URL.createObjectURL(blob);
        this.#addresses.push(address);
        return address;
    }

    // --- what became of it -------------------------------------------------------------------------------------------

    /** @param {string} text @param {string} [kind] */
    waiting(text, kind = "pending") {
        this.#fate.replaceChildren(make("li", { class: `verdict ${kind}`, text }));
    }

    /**
     * The verdicts of a Reliable message, by participant.
     *
     * @param {Report} report
     * @param {"delivered" | "accepted"} confirm
     */
    verdicts(report, confirm) {
        const { reached, failed, unknown, passed } = report;
        const good = confirm === "delivered" ? "read" : "accepted for";
        const rows = [
            ...failed.map(({ recipient, code }) => verdict("failed", recipient.id, reason(code))),
            ...unknown.map(({ recipient, code }) => verdict("unknown", recipient.id, `may have it: ${reason(code)}`)),
            ...passed.map(({ recipient, code }) => verdict("failed", recipient.id, reason(code))),
        ];
        if (reached.length > LISTED) rows.push(verdict("confirmed", `${reached.length} participants`, good));
        else rows.push(...reached.map(({ id }) => verdict("confirmed", id, good)));
        if (rows.length === 0) rows.push(make("li", { class: "verdict pending", text: "nobody was there" }));
        this.#fate.replaceChildren(...rows);
    }

    /**
     * Something that became known after the verdicts.
     *
     * @param {string} id
     * @param {number} code
     */
    afterwards(id, code) {
        this.#fate.append(verdict("failed", id, `after all: ${reason(code)}`));
    }

    /** Frees the memory that it holds. */
    forget() {
        for (const address of this.#addresses.splice(0)) URL.revokeObjectURL(address);
        this.element.remove();
    }
}

const SIGNS = { confirmed: "✓", failed: "✗", unknown: "?" };

/**
 * @param {"confirmed" | "failed" | "unknown"} kind
 * @param {string} who
 * @param {string} what
 */
function verdict(kind, who, what) {
    const row = make("li", { class: `verdict ${kind}` });
    const sign = make("span", SIGNS[kind]);
    sign.setAttribute("aria-hidden", "true");
    row.append(sign, " ", make("b", shown(who, 24)), " ", what);
    return row;
}

/** All messages that are shown. */
export class Log {
    #list = box("log");
    #scroll = box("log-scroll");
    /** @type {Entry[]} */
    #entries = [];
    /** Whether the end is in sight, where it stays then. */
    #atEnd = true;

    constructor() {
        const view = this.#scroll;
        let top = 0;
        view.addEventListener("scroll", () => {
            // Only who goes up leaves the end; it may also have moved away by what was added.
            if (view.scrollHeight - view.scrollTop - view.clientHeight < 80) this.#atEnd = true;
            else if (view.scrollTop < top) this.#atEnd = false;
            top = view.scrollTop;
        });
        // Entries grow after they were added: images are read, verdicts come.
        const grown = new ResizeObserver(() => {
            if (this.#atEnd) view.scrollTop = view.scrollHeight;
        });
        grown.observe(this.#list);
        grown.observe(view);
    }

    /**
     * @param {{ id: string, own: boolean, about: string }} origin
     */
    add(origin) {
        const entry = new Entry(origin);
        if (origin.own) this.#atEnd = true;
        this.#list.append(entry.element);
        this.#entries.push(entry);
        while (this.#entries.length > KEPT) this.#entries.shift()?.forget();
        box("log-empty").hidden = true;
        return entry;
    }

    /** A line that is nobody's message. @param {string} text */
    event(text) {
        this.#list.append(make("li", { class: "event", text }));
        const events = this.#list.querySelectorAll(".event");
        if (events.length > KEPT) events[0].remove();
    }
}
