// SPDX-License-Identifier: Apache-2.0
// The only ways in which this page makes elements: what peers supply becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element of the page by its id.
 *
 * @template {Element} T
 * @param {string} id
 * @param {new (...args: any[]) => T} kind
 * @returns {T}
 */
export function part(id, kind) {
    const found = document.getElementById(id);
    if (!(found instanceof kind)) throw new Error(`the page has no ${id}`);
    return found;
}

/** @param {string} id */
export const box = (id) => part(id, HTMLElement);

/**
 * A new element.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {string | { text?: string, class?: string, title?: string }} [about] its text, or more
 * @param {...(Node | string | null)} children strings become text
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(name, about = {}, ...children) {
    const made = document.createElement(name);
    const { text, class: names, title } = typeof about === "string" ? { text: about } : { ...about };
    if (text !== undefined) made.textContent = text;
    if (names !== undefined) made.className = names;
    if (title !== undefined) made.title = title;
    made.append(...children.filter((child) => child !== null));
    return made;
}

/**
 * A new element of a drawing.
 *
 * @param {string} name
 * @param {Record<string, string | number>} attributes only what this page itself decides
 * @param {...Node} children
 */
export function draw(name, attributes, ...children) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
    made.append(...children);
    return /** @type {SVGElement} */ (made);
}

/**
 * A button that does something.
 *
 * @param {string} text
 * @param {() => void} act
 * @param {string} [names]
 */
export function button(text, act, names = "small") {
    const made = make("button", { text, class: names });
    made.type = "button";
    made.addEventListener("click", act);
    return made;
}
