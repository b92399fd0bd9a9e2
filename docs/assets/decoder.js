// SPDX-License-Identifier: Apache-2.0
// The page "Decoder": the JavaScript implementation's codec judges a packet, the registry's layout explains its bytes.
// Nothing leaves the page. Text of a packet is shown as text, never as markup.
import { decodePacket } from "./callchannel/frames.js";
import { codeName } from "./callchannel/errors.js";
import { explain } from "./callchannel/explain.js";
import { registry } from "./callchannel/registry.js";

const SHOWN = 24;

/** Bytes of hexadecimal text; what stands behind `;` or `#` in a line is a comment. Throws for anything else. */
function parseHex(text) {
  const digits = text
    .replace(/[;#].*$/gm, "")
    .replace(/0x/gi, "")
    .replace(/[\s,:]+/g, "");
  const wrong = digits.search(/[^0-9a-f]/i);
  if (wrong >= 0) throw new Error(`“${digits[wrong]}” is no hexadecimal digit`);
  if (digits.length % 2 !== 0) throw new Error(`there are ${digits.length} digits; two make a byte`);
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");

// --- the page --------------------------------------------------------------------------------------------------------

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function tableOf(rows, faulty) {
  const table = element("table", "", { class: faulty ? "packet faulty" : "packet" });
  const head = element("tr");
  for (const text of ["byte", "hexadecimal", "field", "value", "meaning"]) head.append(element("th", text, { scope: "col" }));
  const thead = element("thead");
  thead.append(head);
  const body = element("tbody");
  for (const { offset, bytes, name, depth, value, meaning } of rows) {
    const row = element("tr");
    const hex = hexOf(bytes.subarray(0, SHOWN)) + (bytes.length > SHOWN ? ` … ${bytes.length} bytes` : "");
    const field = element("th", name, { scope: "row" });
    if (depth > 0) field.className = "inner";
    const code = element("td");
    code.append(element("code", hex));
    row.append(element("td", String(offset)), code, field, element("td", value), element("td", meaning));
    body.append(row);
  }
  table.append(thead, body);
  const about = { class: "packet-scroll", tabindex: "0", role: "region", "aria-label": "Fields" };
  const scroll = element("div", "", about);
  scroll.append(table);
  return scroll;
}

function asText(frame) {
  const replace = (_, value) => {
    if (typeof value === "bigint") return value.toString();
    if (value instanceof Uint8Array) return hexOf(value);
    if (value instanceof Set) return [...value];
    return value instanceof Map ? Object.fromEntries(value) : value;
  };
  return JSON.stringify(frame, replace, 1);
}

function show(output, text, lane) {
  output.replaceChildren();
  let packet;
  try {
    packet = parseHex(text);
  } catch (error) {
    output.append(element("p", error.message, { class: "fault" }));
    return;
  }
  if (packet.length === 0) {
    output.append(element("p", "Paste a packet above."));
    return;
  }
  const { frames, fault } = decodePacket(packet, lane);
  const good = `${frames.length} good frame${frames.length === 1 ? "" : "s"}`;
  const size = packet.length.toLocaleString("en");
  output.append(element("p", `${size} bytes on the ${lane} lane: ${good}${fault ? ", then a fault" : ""}.`));
  let at = 0;
  for (const [number, frame] of frames.entries()) {
    const { rows, end } = explain(packet, at);
    const title = `Frame ${number + 1}: ${frame.type}, ${end - at} bytes`;
    output.append(element("h2", title), tableOf(rows, false));
    const details = element("details");
    details.append(element("summary", "as the codec gives it"));
    const pre = element("pre");
    pre.append(element("code", asText(frame), { tabindex: "0" }));
    details.append(pre);
    output.append(details);
    at = end;
  }
  if (fault !== null) showFault(output, packet, at, fault, lane, frames.length);
}

function showFault(output, packet, at, fault, lane, number) {
  const code = codeName(fault.code);
  output.append(element("h2", `Frame ${number + 1}: ${code}`));
  const meaning = registry.errors[fault.code]?.meaning ?? "";
  const reach = lane === "reliable" ? `ends the link with ${code}` : "drops the rest of the packet";
  const told = `${meaning}. Found in step ${fault.step} of the validation order. A reader ${reach}.`;
  output.append(element("p", told, { class: "fault" }));
  if (code !== "PACKET_SIZE") {
    output.append(tableOf(explain(packet, at).rows, true));
  }
}

function start() {
  const form = document.getElementById("decoder-form");
  const input = document.getElementById("decoder-hex");
  const lane = document.getElementById("decoder-lane");
  const output = document.getElementById("decoder-output");
  const refresh = () => show(output, input.value, lane.value);
  const take = () => {
    const given = new URLSearchParams(location.hash.slice(1));
    if (given.has("hex")) {
      input.value = given.get("hex").replace(/(.{2})/g, "$1 ").trim();
      lane.value = given.get("lane") === "lossy" ? "lossy" : "reliable";
    }
    refresh();
  };
  form.addEventListener("input", refresh);
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", take);
  take();
}

start();
