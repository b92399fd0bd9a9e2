// SPDX-License-Identifier: Apache-2.0
// The connection's figures: small curves of the last minute, and counters.
import { box, draw, make } from "./dom.js";
import { size } from "./words.js";

const SECONDS = 60;
const WIDTH = 120;
const HEIGHT = 32;

/** A small curve of the last minute. */
class Curve {
    #line = draw("polyline", { class: "curve", fill: "none" });
    #area = draw("polygon", { class: "curve-area" });
    #now = make("span", { class: "value", text: "0" });
    /** @type {number[]} */
    #values = [];
    #unit;

    /** @param {string} title @param {string} unit */
    constructor(title, unit) {
        this.#unit = unit;
        const drawing = draw("svg", {
            viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
            "aria-hidden": "true",
            preserveAspectRatio: "none",
        });
        drawing.append(this.#area, this.#line);
        this.element = make(
            "div",
            { class: "chart" },
            make("span", { class: "title", text: title }),
            this.#now,
            drawing,
        );
    }

    /** @param {number} value */
    add(value) {
        this.#values.push(value);
        if (this.#values.length > SECONDS) this.#values.shift();
        this.#now.textContent = `${size(Math.round(value))}${this.#unit}`;
        const most = Math.max(1, ...this.#values);
        const from = SECONDS - this.#values.length;
        const points = this.#values.map((one, at) => {
            const x = ((from + at) * WIDTH) / (SECONDS - 1);
            return `${x.toFixed(1)},${(HEIGHT - 2 - (one / most) * (HEIGHT - 5)).toFixed(1)}`;
        });
        const first = ((from * WIDTH) / (SECONDS - 1)).toFixed(1);
        this.#line.setAttribute("points", points.join(" "));
        this.#area.setAttribute("points", [`${first},${HEIGHT}`, ...points, `${WIDTH},${HEIGHT}`].join(" "));
    }
}

export class Figures {
    #call;
    #sent = new Curve("Sent", "/s");
    #received = new Curve("Received", "/s");
    #open = new Curve("In flight", "");
    #before = { sent: 0, received: 0, at: 0 };
    /** @type {Map<string, HTMLElement>} */
    #values = new Map();
    #timer;

    /** @param {import("./callchannel/index.js").Call} call */
    constructor(call) {
        this.#call = call;
        box("charts").replaceChildren(...[this.#sent, this.#received, this.#open].map(({ element }) => element));
        box("figures").replaceChildren();
        this.#timer = setInterval(() => this.#measure(), 1000);
        this.#measure();
    }

    #measure() {
        const statistics = this.#call.statistics;
        if (statistics === undefined) return;
        const { bytes_written: written, bytes_received: received } = statistics;
        const now = {
            sent: written.reliable + written.lossy,
            received: received.reliable + received.lossy,
            at: performance.now(),
        };
        const seconds = (now.at - this.#before.at) / 1000;
        this.#sent.add((now.sent - this.#before.sent) / seconds);
        this.#received.add((now.received - this.#before.received) / seconds);
        this.#open.add(statistics.bytes_unacknowledged);
        this.#before = now;
        this.#set("Sent", size(now.sent));
        this.#set("Received", size(now.received));
        this.#set("Sent again", `${statistics.frames_retransmitted} frames`);
        this.#set("Resumed", `${statistics.resumes} ×`);
        const drops = Object.entries(statistics.drops).map(
            ([reason, count]) => `${reason.replaceAll("_", " ")} ${count}`,
        );
        this.#set("Lossy, dropped", drops.join(", ") || "none");
    }

    /** @param {string} name @param {string} value */
    #set(name, value) {
        let cell = this.#values.get(name);
        if (cell === undefined) {
            cell = make("dd");
            this.#values.set(name, cell);
            box("figures").append(make("div", {}, make("dt", name), cell));
        }
        cell.textContent = value;
    }

    /** Measures no more. */
    stop() {
        clearInterval(this.#timer);
    }
}
