// SPDX-License-Identifier: Apache-2.0
// The page "Decoder": the JavaScript implementation's codec judges a packet, the registry's layout explains its bytes.
// Nothing leaves the page. Text of a packet is shown as text, never as markup.
import { decodePacket } from "./callchannel/frames.js";
import { codeName } from "./callchannel/errors.js";
import { registry } from "./registry.js";

const SHOWN = 24;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

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

/** Walks through one frame, as long as there are bytes. */
class Walk {
  rows = [];

  constructor(packet, start) {
    this.packet = packet;
    this.start = start;
    this.at = start;
    this.end = packet.length;
    this.flags = [];
    this.frame = undefined;
  }

  run() {
    const type = this.packet[this.start];
    this.frame = registry.frames[type];
    for (const field of registry.start) if (!this.field(field, 0, {})) return;
    const length = this.packet[this.start + 2] * 256 + this.packet[this.start + 3];
    if (length >= 4 && this.start + length <= this.packet.length) this.end = this.start + length;
    if (this.frame === undefined) this.add("body", this.end - this.at, 0, (bytes) => preview(bytes));
    else this.fields(this.frame.fields, 0);
    if (this.at < this.end) this.add("rest", this.end - this.at, 0, () => "beyond the frame’s fields");
  }

  /** All fields of a frame or block. Returns whether there were bytes enough. */
  fields(fields, depth) {
    const seen = {};
    for (let at = 0; at < fields.length; at += 1) {
      const field = fields[at];
      if (field.when !== null && !this.flags.includes(field.when)) continue;
      if (field.bits !== null && field.bits % 8 !== 0) {
        const group = [];
        for (let bits = 0; bits === 0 || bits % 8 !== 0; at += 1) {
          group.push(fields[at]);
          bits += fields[at].bits;
        }
        at -= 1;
        if (!this.group(group, depth, seen)) return false;
      } else if (!this.field(field, depth, seen)) return false;
    }
    return true;
  }

  field(field, depth, seen) {
    if (field.type === "block") return this.block(field, depth, seen);
    if (field.bits === null) {
      const stated = seen[`${field.name}_length`] ?? (field.name === "value" ? seen.length : undefined);
      const size = stated === undefined ? this.end - this.at : Number(stated);
      if (size === 0) return true;
      return this.add(field.name, size, depth, (bytes) => (field.type === "utf8" ? quoted(bytes) : preview(bytes)));
    }
    if (field.type === "bytes") return this.add(field.name, field.bits / 8, depth, () => field.meaning);
    return this.add(field.name, field.bits / 8, depth, (bytes) => {
      const value = numberOf(bytes);
      seen[field.name] = value;
      if (field.name === "flags") this.flags = namesOf(this.frame, Number(value));
      return [value.toLocaleString("en"), this.meaning(field, Number(value))];
    });
  }

  /** Fields that share an integer. */
  group(group, depth, seen) {
    const bits = group.reduce((sum, field) => sum + field.bits, 0);
    return this.add(group.map((field) => field.name).join(", "), bits / 8, depth, (bytes) => {
      let left = BigInt(bits);
      const whole = BigInt(numberOf(bytes));
      return group
        .map((field) => {
          left -= BigInt(field.bits);
          const value = Number((whole >> left) & ((1n << BigInt(field.bits)) - 1n));
          seen[field.name] = value;
          const named = field.name === "type" ? ` (${registry.extensions[value] ?? "unknown"})` : "";
          return `${field.name} ${value.toLocaleString("en")}${named}`;
        })
        .join(", ");
    });
  }

  block(field, depth, seen) {
    const inner = registry.blocks[field.block].fields;
    if (!field.repeat) return this.fields(inner, depth + 1);
    const end = seen.size === undefined ? this.end : Math.min(this.end, this.at + Number(seen.size));
    let left = seen.count ?? Infinity;
    while (this.at < end && left > 0) {
      left -= 1;
      const from = this.at;
      if (!this.fields(inner, depth + 1)) return false;
      if (field.block === "word") this.slots(from);
    }
    return true;
  }

  /** Says which slots the word that was just read names. */
  slots(from) {
    const view = new DataView(this.packet.buffer, this.packet.byteOffset + from, 6);
    const base = 32 * view.getUint16(0);
    const word = view.getUint32(2);
    const slots = [];
    for (let bit = 0; bit < 32; bit += 1) if ((word >>> bit) & 1) slots.push(base + bit);
    this.rows.at(-1).meaning = `slot${slots.length === 1 ? "" : "s"} ${slots.join(", ") || "none"}`;
  }

  add(name, size, depth, explain) {
    const left = this.end - this.at;
    const bytes = this.packet.subarray(this.at, this.at + Math.min(size, left));
    const cut = size > left;
    if (cut && left === 0) return false;
    const told = cut ? `cut off: ${left} of ${size} bytes` : explain(bytes);
    const [value, meaning] = Array.isArray(told) ? told : ["", told];
    this.rows.push({ offset: this.at, bytes, name, depth, value, meaning });
    this.at += bytes.length;
    return !cut;
  }

  meaning(field, value) {
    switch (field.name) {
      case "type":
        return this.frame?.name ?? `unknown${value & 0x80 ? ", skipped" : ""}${value & 0x40 ? ", not counted" : ""}`;
      case "flags":
        return this.flags.join(" ") || "none";
      case "sender":
      case "recipient":
      case "slot":
        return value === 0xffff ? "none" : `slot ${value}`;
      case "reason":
      case "code":
        return codeName(value);
      case "op":
        return registry.ops[value] ?? "undefined";
      case "value":
        return this.frame?.value ?? "";
      case "length":
        return "";
      default:
        return field.meaning;
    }
  }
}

function numberOf(bytes) {
  let value = 0n;
  for (const byte of bytes) value = value * 256n + BigInt(byte);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

function namesOf(frame, flags) {
  const known = frame?.flags ?? [];
  const names = known.filter(({ bit }) => flags & bit).map(({ name }) => name);
  const rest = flags & ~known.reduce((sum, { bit }) => sum | bit, 0);
  return rest === 0 ? names : [...names, `undefined ${rest.toString(16).toUpperCase().padStart(2, "0")}`];
}

function preview(bytes) {
  const count = `${bytes.length.toLocaleString("en")} byte${bytes.length === 1 ? "" : "s"}`;
  try {
    const text = utf8.decode(bytes);
    return /^[^\p{C}\p{Zl}\p{Zp}]+$/u.test(text) ? `${count}, “${text}”` : count;
  } catch {
    return count;
  }
}

function quoted(bytes) {
  try {
    return `“${utf8.decode(bytes).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "�")}”`;
  } catch {
    return "not UTF-8";
  }
}

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
    const walk = new Walk(packet, at);
    walk.run();
    const title = `Frame ${number + 1}: ${frame.type}, ${walk.end - at} bytes`;
    output.append(element("h2", title), tableOf(walk.rows, false));
    const details = element("details");
    details.append(element("summary", "as the codec gives it"));
    const pre = element("pre");
    pre.append(element("code", asText(frame), { tabindex: "0" }));
    details.append(pre);
    output.append(details);
    at = walk.end;
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
    const walk = new Walk(packet, at);
    walk.run();
    output.append(tableOf(walk.rows, true));
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
