// SPDX-License-Identifier: Apache-2.0
// Who is in the call, and whom the next message is for.
import { box, make, part } from "./dom.js";
import { hue, shown } from "./words.js";

/** @typedef {{ slot: number, id: string, suspended: boolean, own: boolean }} Participant */
/** @typedef {import("./callchannel/outgoing.js").Recipients} Recipients */

/** More than this are counted, not listed: a call may be large. */
const LISTED = 200;

/** A round mark with the first letter of a name. @param {string} id */
export function mark(id) {
    const made = make("span", { class: "mark", text: [...shown(id)][0].toUpperCase() });
    made.setAttribute("aria-hidden", "true");
    made.style.setProperty("--hue", String(hue(id)));
    return made;
}

export class People {
    #call;
    #chosen = new Set();
    #mode = part("to", HTMLSelectElement);
    #whom = box("to-whom");

    /** @param {import("./callchannel/index.js").Call} call */
    constructor(call) {
        this.#call = call;
        this.#mode.addEventListener("change", () => this.show());
        for (const kind of ["joined", "left", "suspended", "resumed"]) {
            call.addEventListener(`participant${kind}`, () => this.show());
        }
        this.show();
    }

    /** Draws everything anew. */
    show() {
        const all = /** @type {Participant[]} */ (this.#call.participants);
        all.sort((one, other) => Number(other.own) - Number(one.own) || one.id.localeCompare(other.id));
        box("people-count").textContent = String(all.length);
        const rows = all.slice(0, LISTED).map((participant) => this.#row(participant));
        if (all.length > LISTED) rows.push(make("li", `and ${all.length - LISTED} more`));
        box("people").replaceChildren(...rows);
        this.#showChoice([...new Set(all.filter(({ own }) => !own).map(({ id }) => id))]);
    }

    /** @param {Participant} participant */
    #row({ id, own, suspended }) {
        const row = make("li", { class: suspended ? "person away" : "person" }, mark(id));
        row.append(make("span", { class: "name", text: shown(id) }));
        if (own) row.append(make("span", { class: "tag", text: "you" }));
        if (suspended) row.append(make("span", { class: "tag warn", text: "offline" }));
        return row;
    }

    /** @param {string[]} ids */
    #showChoice(ids) {
        const hidden = this.#mode.value === "everyone";
        this.#whom.hidden = hidden;
        box("to-legend").textContent = this.#mode.value === "only" ? "Only these get it" : "These do not get it";
        const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.id;
        for (const label of [...this.#whom.querySelectorAll("label, p")]) label.remove();
        if (hidden) return;
        for (const id of this.#chosen) if (!ids.includes(id)) this.#chosen.delete(id);
        if (ids.length === 0) this.#whom.append(make("p", { class: "help", text: "Nobody else is here." }));
        for (const id of ids.slice(0, LISTED)) {
            const input = make("input");
            input.type = "checkbox";
            input.checked = this.#chosen.has(id);
            input.dataset.id = id;
            input.addEventListener("change", () => this.#chosen[input.checked ? "add" : "delete"](id));
            this.#whom.append(make("label", { class: "chip" }, input, make("span", shown(id, 24))));
            if (id === focused) input.focus();
        }
    }

    /** Whom the next message is for, or null where nobody is chosen who has to be. @returns {Recipients | null} */
    get recipients() {
        const chosen = [...this.#chosen];
        if (this.#mode.value === "everyone") return "everyone";
        if (this.#mode.value === "except") return { except: chosen };
        return chosen.length === 0 ? null : { only: chosen };
    }

    /** How many others are here. */
    get others() {
        return this.#call.participants.filter(({ own }) => !own).length;
    }
}

/**
 * Whom a message was for, in words.
 *
 * @param {Recipients} recipients
 */
export function audience(recipients) {
    if (typeof recipients === "string") return "to everyone";
    const { ids, words } =
        "only" in recipients
            ? { ids: recipients.only, words: "only to" }
            : { ids: recipients.except, words: "to everyone but" };
    if (ids.length === 0) return "to everyone";
    const names = ids.slice(0, 3).map((id) => shown(id, 24));
    return `${words} ${names.join(", ")}${ids.length > 3 ? ` and ${ids.length - 3} more` : ""}`;
}
