// SPDX-License-Identifier: Apache-2.0
// The page: the door, and the call behind it.
import { Code } from "./callchannel/index.js";
import { Connection } from "./connection.js";
import { box, part } from "./dom.js";
import { Figures } from "./figures.js";
import { Inspector } from "./inspector.js";
import { Log } from "./log.js";
import { alertUser, announce, clearAlerts } from "./notices.js";
import { People } from "./people.js";
import { Pointers } from "./pointers.js";
import { Receiving } from "./receiving.js";
import { Sending } from "./sending.js";
import { ending, shown, trouble } from "./words.js";

const ADJECTIVES = ["quiet", "brave", "amber", "swift", "gentle", "bright", "early", "lucky"];
const ANIMALS = ["otter", "heron", "lynx", "robin", "badger", "swallow", "hare", "seal"];

const name = part("call-name", HTMLInputElement);
const identity = part("identity", HTMLInputElement);
const token = part("token", HTMLTextAreaElement);
const join = part("join", HTMLButtonElement);
const inspector = new Inspector();

/** @param {readonly string[]} words */
const any = (words) => words[Math.floor(Math.random() * words.length)];

/** @param {"none" | "wait" | "good" | "lost"} kind @param {string} text */
function state(kind, text) {
    const shownState = box("state");
    shownState.hidden = kind === "none";
    shownState.dataset.state = kind;
    shownState.textContent = text;
}

/** Asks what the relay asks of those who join, and fills the form. */
async function openDoor() {
    const given = new URLSearchParams(location.hash.slice(1));
    name.value = given.get("call") ?? "tea";
    identity.value = given.get("name") ?? `${any(ADJECTIVES)}-${any(ANIMALS)}`;
    if (typeof RTCPeerConnection === "undefined") {
        alertUser("This browser has no WebRTC, or it is turned off. The page can't do anything without it.");
        return;
    }
    try {
        const about = await (await fetch("web/about.json")).json();
        box("token-row").hidden = about.admission !== "token";
        box("identity-row").hidden = about.admission === "token";
    } catch {
        alertUser("The relay does not answer. Is it still running?");
    }
}

/** @returns {import("./connection.js").Who | null} null where something is missing, which is said */
function who() {
    const call = name.value.trim();
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(call)) {
        alertUser("Give the call a name of letters, digits, and - _ . in between.");
        name.focus();
        return null;
    }
    if (!box("token-row").hidden) {
        const given = token.value.replace(/\s+/g, "");
        if (given !== "") return { call, token: given };
        alertUser("This relay asks for a token.");
        token.focus();
        return null;
    }
    const own = identity.value.trim();
    if (own !== "" && new TextEncoder().encode(own).length <= 255) return { call, identity: own };
    alertUser("Say who you are: a name of at most 60 letters.");
    identity.focus();
    return null;
}

/** @param {Event} event */
async function enter(event) {
    event.preventDefault();
    clearAlerts();
    const given = who();
    if (given === null) return;
    join.disabled = true;
    state("wait", "joining …");
    try {
        const connection = new Connection(given, (way, lane, packet) => inspector.look(way, lane, packet));
        await connection.call.join();
        begin(connection, given.call);
    } catch (error) {
        state("none", "");
        alertUser(trouble(error));
    } finally {
        join.disabled = false;
    }
}

/** @param {Connection} connection @param {string} callName */
function begin(connection, callName) {
    const { call } = connection;
    const own = /** @type {{ slot: number, id: string }} */ (call.participants.find((one) => one.own));
    document.body.dataset.stage = "call";
    document.title = `${callName} · callchannel`;
    box("door").hidden = true;
    box("call").hidden = false;
    box("bar-buttons").hidden = false;
    box("where").hidden = false;
    box("where").textContent = `${callName} as ${shown(own.id, 24)}`;
    state("good", "connected");
    const log = new Log();
    const people = new People(call);
    const pointers = new Pointers(call, own);
    const figures = new Figures(call);
    new Receiving(call, log, pointers);
    new Sending(call, log, people, own.id);
    follow(connection, log, figures);
    announce(`You are in the call ${callName}`);
    part("text", HTMLTextAreaElement).focus();
}

/** Shows what becomes of the connection. @param {Connection} connection @param {Log} log @param {Figures} figures */
function follow(connection, log, figures) {
    const { call } = connection;
    const cut = part("cut", HTMLButtonElement);
    let lostAt = 0;
    cut.addEventListener("click", () => connection.cut());
    call.addEventListener("suspended", () => {
        lostAt = performance.now();
        cut.disabled = true;
        state("lost", "reconnecting …");
        log.event("The connection is lost. Reliable messages wait; Lossy ones are dropped.");
        announce("The connection is lost");
    });
    call.addEventListener("resumed", () => {
        cut.disabled = false;
        state("good", "connected");
        const again = call.statistics?.frames_retransmitted ?? 0;
        const seconds = ((performance.now() - lostAt) / 1000).toFixed(1);
        log.event(
            `Resumed after ${seconds} s. Nothing Reliable was lost: ${again} frames have been sent again so far.`,
        );
        announce("The connection is back");
    });
    for (const [kind, words] of [
        ["joined", "has joined"],
        ["left", "has left"],
    ]) {
        call.addEventListener(`participant${kind}`, (event) => {
            const { participant, code } = /** @type {any} */ (event).detail;
            const lost = code === Code.LOST ? ", with the connection" : "";
            log.event(`${shown(participant.id)} ${words}${lost}`);
            announce(`${shown(participant.id)} ${words}`);
        });
    }
    const unloaded = () => void call.leave({ wait: 0 });
    addEventListener("pagehide", unloaded);
    part("leave", HTMLButtonElement).addEventListener("click", () => {
        state("wait", "leaving …");
        void call.leave();
    });
    void call.ended.then((code) => {
        removeEventListener("pagehide", unloaded);
        figures.stop();
        end(code);
    });
}

/** The call is over; what was said stays on the page. @param {number} code */
function end(code) {
    state("lost", "not in a call");
    box("bar-buttons").hidden = true;
    for (const control of box("composer").querySelectorAll("input, select, textarea, button")) {
        /** @type {HTMLInputElement} */ (control).disabled = true;
    }
    alertUser(`${ending(code)} Load the page anew to join again.`);
}

for (const chooser of box("views").querySelectorAll("button")) {
    chooser.addEventListener("click", () => {
        for (const other of box("views").querySelectorAll("button")) other.removeAttribute("aria-current");
        chooser.setAttribute("aria-current", "true");
        box("call").dataset.view = chooser.dataset.view;
    });
}
box("join-form").addEventListener("submit", (event) => void enter(event));
void openDoor();
