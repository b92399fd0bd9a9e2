// SPDX-License-Identifier: Apache-2.0
// What the page says: alerts that stay until they are dismissed, and a line for those who hear the page.
import { box, button, make } from "./dom.js";

const MOST = 3;

/**
 * Says clearly that something is wrong.
 *
 * @param {string} text
 */
export function alertUser(text) {
    const alerts = box("alerts");
    for (const old of [...alerts.children]) if (old.firstElementChild?.textContent === text) old.remove();
    while (alerts.children.length >= MOST) alerts.firstElementChild?.remove();
    const alert = make("div", { class: "alert" }, make("p", text));
    alert.append(button("Dismiss", () => alert.remove(), "small quiet"));
    alerts.append(alert);
}

/** Nothing is wrong any more. */
export function clearAlerts() {
    box("alerts").replaceChildren();
}

/**
 * Says something to those who hear the page: a message that came, a connection that is back.
 *
 * @param {string} text
 */
export function announce(text) {
    box("announcer").textContent = text;
}
