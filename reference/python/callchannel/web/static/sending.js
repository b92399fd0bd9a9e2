// SPDX-License-Identifier: Apache-2.0
// Sends what the person at this page writes and chooses, and shows what becomes of it.
import { CallError, Code, safeName } from "./callchannel/index.js";
import { box, part } from "./dom.js";
import { alertUser, announce } from "./notices.js";
import { audience } from "./people.js";
import { pictureType } from "./pictures.js";
import { reason, size, trouble } from "./words.js";

/** @typedef {import("./log.js").Entry} Entry */
/** @typedef {import("./callchannel/index.js").CallSender} CallSender */
/** @typedef {{ reliability: "reliable" | "lossy", priority: "normal" | "high", confirm: "delivered" | "accepted" }} How */

/** Messages of a sender that later news may concern. */
const REMEMBERED = 200;

/** A sender, and what was sent by it. */
class Outlet {
    /** @type {Map<number, { entry: Entry, ids: Set<string> }>} */
    #sent = new Map();
    over = false;

    /** @param {CallSender} sender */
    constructor(sender) {
        this.sender = sender;
        sender.addEventListener("recipientfailed", (event) => {
            this.over = true; // the next message goes by a new sender, in which nobody has failed
            const { participant, value, code } = /** @type {any} */ (event).detail;
            for (const [sequence, { entry, ids }] of this.#sent) {
                if (sequence >= value && ids.has(participant.id)) entry.afterwards(participant.id, code);
            }
        });
        for (const end of ["failed", "ended"]) sender.addEventListener(end, () => (this.over = true));
    }

    /** @param {number} sequence @param {Entry} entry @param {readonly { id: string }[]} reached */
    remember(sequence, entry, reached) {
        this.#sent.set(sequence, { entry, ids: new Set(reached.map(({ id }) => id)) });
        for (const old of this.#sent.keys()) {
            if (this.#sent.size <= REMEMBERED) break;
            this.#sent.delete(old);
        }
    }
}

export class Sending {
    #call;
    #log;
    #people;
    #own;
    /** @type {Map<string, Outlet>} */
    #outlets = new Map();
    #text = part("text", HTMLTextAreaElement);
    #files = part("files", HTMLInputElement);
    #reliability = part("reliability", HTMLSelectElement);
    #confirm = part("confirm", HTMLSelectElement);

    /**
     * @param {import("./callchannel/index.js").Call} call
     * @param {import("./log.js").Log} log
     * @param {import("./people.js").People} people
     * @param {string} own
     */
    constructor(call, log, people, own) {
        this.#call = call;
        this.#log = log;
        this.#people = people;
        this.#own = own;
        box("composer").addEventListener("submit", (event) => {
            event.preventDefault();
            this.#sendText();
        });
        this.#text.addEventListener("keydown", (event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            this.#sendText();
        });
        this.#text.addEventListener("paste", (event) => this.#take(event, event.clipboardData?.files));
        this.#files.addEventListener("change", () => {
            this.#sendFiles([...(this.#files.files ?? [])]);
            this.#files.value = "";
        });
        const chat = box("log-scroll");
        chat.addEventListener("dragover", (event) => event.preventDefault());
        chat.addEventListener("drop", (event) => this.#take(event, event.dataTransfer?.files));
        this.#reliability.addEventListener("change", () => this.#showHow());
        this.#showHow();
    }

    /** Lossy messages are never confirmed. */
    #showHow() {
        this.#confirm.disabled = this.#reliability.value === "lossy";
    }

    /** @param {Event} event @param {FileList | undefined} files */
    #take(event, files) {
        if (files === undefined || files.length === 0) return;
        event.preventDefault();
        this.#sendFiles([...files]);
    }

    /** @returns {How} */
    get #how() {
        const priority = part("priority", HTMLSelectElement).value === "high" ? "high" : "normal";
        const confirm = this.#confirm.value === "accepted" ? "accepted" : "delivered";
        return { reliability: this.#reliability.value === "lossy" ? "lossy" : "reliable", priority, confirm };
    }

    /** @param {How} how */
    #open({ reliability, priority, confirm }) {
        const options = reliability === "lossy" ? { reliability, priority } : { priority, confirm };
        return this.#call.createSender(options);
    }

    /** @param {How} how */
    #outlet(how) {
        const key = JSON.stringify(how);
        let outlet = this.#outlets.get(key);
        if (outlet === undefined || outlet.over) {
            if (outlet !== undefined) void outlet.sender.close();
            outlet = new Outlet(this.#open(how));
            this.#outlets.set(key, outlet);
        }
        return outlet;
    }

    /** Whom the next message is for; says so where that is nobody. */
    #recipients() {
        const { recipients } = this.#people;
        if (recipients === null) alertUser("Choose at least one recipient, or send to everyone.");
        return recipients;
    }

    #sendText() {
        const text = this.#text.value.trim();
        if (text === "") return;
        const recipients = this.#recipients();
        if (recipients === null) return;
        this.#text.value = "";
        const how = this.#how;
        const entry = this.#entry(recipients, how);
        entry.text(text);
        void this.#follow(entry, how, () => {
            const outlet = this.#outlet(how);
            return { outlet, sent: outlet.sender.sendText(text, { recipients }) };
        });
    }

    /** @param {import("./callchannel/outgoing.js").Recipients} recipients @param {How} how */
    #entry(recipients, { reliability, priority }) {
        const words = [audience(recipients), reliability === "lossy" ? "Lossy" : "", priority === "high" ? "high" : ""];
        const about = words.filter((word) => word !== "").join(", ");
        return this.#log.add({ id: this.#own, own: true, about });
    }

    /**
     * Shows what becomes of a message.
     *
     * @param {Entry} entry
     * @param {How} how
     * @param {() => { outlet: Outlet, sent: Promise<import("./callchannel/sending.js").Sent> }} send
     */
    async #follow(entry, how, send) {
        entry.waiting(
            how.reliability === "lossy"
                ? "sending …"
                : `waiting for ${how.confirm === "delivered" ? "readers" : "the relay"} …`,
        );
        try {
            const { outlet, sent } = send();
            const { sequence, report } = await sent;
            if (report === null) {
                entry.waiting("sent; nobody says whether it came", "lossy");
            } else {
                entry.verdicts(report, how.confirm);
                outlet.remember(sequence, entry, report.reached);
            }
        } catch (error) {
            if (error instanceof CallError && error.report !== undefined) {
                entry.verdicts(error.report, how.confirm);
                announce(`A message did not reach everybody: ${reason(error.code)}`);
            } else if (error instanceof CallError && error.code === Code.CANCELLED) {
                entry.waiting("taken back");
            } else {
                entry.waiting(trouble(error), "failed");
                announce(`A message was not sent. ${trouble(error)}`);
            }
        }
    }

    // --- files -------------------------------------------------------------------------------------------------------

    /** @param {File[]} files */
    #sendFiles(files) {
        const recipients = this.#recipients();
        if (recipients !== null) for (const file of files) void this.#sendFile(file, recipients);
    }

    /**
     * A file goes by a sender of its own, so that it holds up nothing else, always Reliable.
     *
     * @param {File} file
     * @param {import("./callchannel/outgoing.js").Recipients} recipients
     */
    async #sendFile(file, recipients) {
        /** @type {How} */
        const how = { ...this.#how, reliability: "reliable" };
        const entry = this.#entry(recipients, how);
        const type = await pictureType(file);
        if (type !== null) entry.picture(new Blob([file], { type }), file.name);
        else entry.note(`${file.name.slice(0, 100)}, ${size(file.size)}`);
        const abort = new AbortController();
        const progress = entry.transfer(file.name, { label: "Cancel", act: () => abort.abort() });
        progress(0, file.size);
        /** @type {Outlet | undefined} */
        let outlet;
        await this.#follow(entry, how, () => {
            outlet = new Outlet(this.#open(how));
            const options = { recipients, progress, signal: abort.signal, name: safeName(file.name) };
            return { outlet, sent: outlet.sender.sendFile(file, options) };
        });
        entry.arrived();
        await outlet?.sender.close();
    }
}
