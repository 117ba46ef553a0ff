"use strict";

const SHOWN = 100; // items in the list at a time
const controls = document.getElementById("controls");
const list = document.getElementById("list");
const article = document.getElementById("item");
const state = document.getElementById("state");
const field = (name) => controls.elements[name];

// Blocks are compressed; they stand in the page or in scripts beside it, which call block().
const waiting = new Map();
const loaded = new Map();
function block(name, text) { waiting.get(name)(text); }

function load(name) {
  if (!loaded.has(name)) loaded.set(name, source(name).then(unpack));
  return loaded.get(name);
}

function source(name) {
  const here = document.getElementById(name);
  if (here) return Promise.resolve(here.textContent);
  return new Promise((resolve, reject) => {
    waiting.set(name, resolve);
    const script = document.createElement("script");
    script.src = `items/${name}.js`;
    script.onerror = () => reject(new Error(`items/${name}.js is missing: keep the folder items beside this page.`));
    document.head.append(script);
  });
}

async function unpack(text) {
  const binary = atob(text);
  const bytes = Uint8Array.from({ length: binary.length }, (_, i) => binary.charCodeAt(i));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

const json = async (name) => JSON.parse(new TextDecoder().decode(await load(name)));
const texts = new Map();
async function textsOf(number) {
  if (!texts.has(number)) texts.set(number, await json(`texts-${number}`));
  return texts.get(number);
}

// Data are only ever shown as text; hidden and direction-override characters are made visible.
const clean = (text) => text.replace(/[^\P{C}\n\t]/gu, "\ufffd");

function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  if (text !== "") made.textContent = clean(text);
  if (className) made.className = className;
  return made;
}

function fill(name, values, first) {
  const options = values.map((value) => { const o = element("option", value || "none"); o.value = value; return o; });
  if (first !== undefined) { const o = element("option", first); o.value = "\0"; options.unshift(o); }
  field(name).replaceChildren(...options);
}

const distinct = (values) => [...new Set(values)];
const pairName = ([strong, weak]) => (weak ? `${strong} over ${weak}` : strong);
const signed = (value) => (Number.isNaN(value) ? "–" : `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value).toFixed(2)}`);
const verdict = (margin) => (Number.isNaN(margin) ? "unscored" : margin > 0 ? "right" : margin < 0 ? "wrong" : "tied");

let index, offsets, order = [], position = 0, current, a = null, b = null;

async function numbersOf(prefix) {
  const pair = field(`${prefix}pair`).value, variant = field(`${prefix}variant`).value;
  const number = index.rewards.findIndex((reward) => pairName(reward) === pair && reward[2] === variant);
  if (number < 0) return null;
  const all = new Float32Array(await load(`numbers-${number}`));
  const n = index.item.length;
  const tokens = index.tokens.includes(number) ? await json(`tokens-${number}`) : {};
  return { name: index.rewards[number], margins: all.subarray(0, n), rewards: all.subarray(n), tokens };
}

function fillVariants(prefix) {
  const pair = field(`${prefix}pair`).value, before = field(`${prefix}variant`).value;
  const variants = index.rewards.filter((reward) => pairName(reward) === pair).map((reward) => reward[2]);
  fill(`${prefix}variant`, variants);
  if (variants.includes(before)) field(`${prefix}variant`).value = before;
}

async function search(words) {
  const found = new Set();
  for (let number = 0; number < index.starts.length; number++) {
    state.textContent = `Searching ${number + 1} of ${index.starts.length} parts …`;
    const part = await textsOf(number);
    part.forEach((item, k) => {
      const place = index.starts[number] + k;
      const all = [index.item[place], ...item.prompt.map((t) => t.content), ...item.responses.map((r) => r[0])];
      const text = all.join("\n").toLowerCase();
      if (words.every((word) => text.includes(word))) found.add(place);
    });
  }
  return found;
}

function keeps(wanted, first, second) {
  if (wanted === "differ") return first !== second;
  if (wanted === "only") return first === "right" && second === "wrong";
  if (wanted === "lost") return first === "wrong" && second === "right";
  return wanted === "" || first === wanted;
}

let turn = 0;
async function update() {
  const mine = ++turn;
  const words = field("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  const [first, second, found] = [await numbersOf(""), await numbersOf("other_"), words.length ? await search(words) : null];
  if (mine !== turn) return; // the controls have changed since
  [a, b] = [first, second];
  for (const option of field("verdict").options) option.disabled = !b && ["differ", "only", "lost"].includes(option.value);
  if (field("verdict").selectedOptions[0].disabled) field("verdict").value = "";
  const [section, subset, wanted] = ["section", "subset", "verdict"].map((name) => field(name).value);
  order = [];
  for (let i = 0; i < index.item.length; i++) {
    if ((section === "\0" || index.section[i] === section) && (subset === "\0" || index.subset[i] === subset)
      && (!found || found.has(i)) && keeps(wanted, verdict(a.margins[i]), b && verdict(b.margins[i]))) order.push(i);
  }
  const key = { up: (m) => m, down: (m) => -m, sure: (m) => -Math.abs(m) }[field("sort").value];
  const last = (m) => (Number.isNaN(m) ? Infinity : key(m));
  if (key) order.sort((x, y) => { const [p, q] = [last(a.margins[x]), last(a.margins[y])]; return p < q ? -1 : p > q ? 1 : x - y; });
  const right = order.filter((i) => a.margins[i] > 0).length;
  state.textContent = `${order.length.toLocaleString("en")} of ${index.item.length.toLocaleString("en")} items; ${right.toLocaleString("en")} of these right`;
  list.replaceChildren();
  list.scrollTop = 0;
  position = 0;
  more();
  await open(order.includes(current) ? current : order[0]);
}

function more() {
  list.querySelector(".more")?.remove();
  for (const i of order.slice(position, position + SHOWN)) {
    const button = element("button");
    button.type = "button";
    button.dataset.item = i;
    if (i === current) button.setAttribute("aria-current", "true");
    button.append(element("b", signed(a.margins[i]), verdict(a.margins[i])));
    if (b) button.append(element("b", signed(b.margins[i]), verdict(b.margins[i])));
    button.append(element("small", `${index.subset[i]} · ${index.item[i]}`), element("br"), index.head[i]);
    button.addEventListener("click", () => open(i).then(seen).catch(tell));
    list.append(button);
  }
  position += SHOWN;
  if (position < order.length) {
    const button = element("button", `${(order.length - position).toLocaleString("en")} more`, "more");
    button.type = "button";
    button.addEventListener("click", more);
    list.append(button);
  }
}

function fact(name, value, className = "") {
  const made = element("span", `${name} `);
  made.append(element("b", value, className));
  return made;
}

// What each token earned: blue for the response, orange against it, the deeper the more.
function heat(pieces, values) {
  const made = element("div", "", "strip");
  const most = Math.max(1e-9, ...values.map(Math.abs));
  pieces.forEach((piece, k) => {
    const span = element("span", piece);
    const part = Math.round(100 * Math.abs(values[k]) / most);
    span.style.background = `color-mix(in srgb, ${values[k] > 0 ? "#56B4E9" : "#E69F00"} ${part}%, white)`;
    span.title = `${JSON.stringify(clean(piece))}: ${values[k] > 0 ? "+" : ""}${values[k].toFixed(3)} nats`;
    made.append(span);
  });
  return made;
}

// The criteria domain that a variant puts an item under; none where it keeps the prompt, or where that is not known.
function domainOf(variant, i) {
  if (variant === "cdr-adaptive-router") return index.domain_routed[i];
  const route = index.routes[variant.replace(/^cdr-adaptive-/, "")];
  if (route) return route[index.section[i]];
  return Object.keys(index.domains).find((domain) => ["cdr-", "prompt-delta-", "pmi-", "judge-"].some((kind) => variant === kind + domain));
}

function criteria(i) {
  const domains = distinct([a, b].filter(Boolean).map((numbers) => domainOf(numbers.name[2], i)));
  return domains.filter((domain) => index.domains[domain]).map((domain) => {
    const made = element("details");
    made.append(element("summary", `criteria ${domain}`), element("div", index.domains[domain], "turn"));
    made.append(element("small", `${article.dataset.criteria} adds an example and the prompt`));
    return made;
  });
}

async function open(i) {
  article.replaceChildren();
  if (i === undefined) return;
  current = i;
  list.querySelector("[aria-current]")?.removeAttribute("aria-current");
  list.querySelector(`[data-item="${i}"]`)?.setAttribute("aria-current", "true");
  const number = index.starts.findLastIndex((start) => start <= i);
  const item = (await textsOf(number))[i - index.starts[number]];
  const facts = element("div", "", "facts");
  facts.append(fact("subset", index.subset[i]));
  if (index.section[i]) facts.append(fact("section", index.section[i]));
  if (index.domain_oracle[i]) facts.append(fact("criteria by section", index.domain_oracle[i]));
  if (index.domain_routed[i]) facts.append(fact("criteria by the router", index.domain_routed[i]));
  for (const numbers of [a, b]) {
    if (numbers) facts.append(fact(`margin, ${pairName(numbers.name)}, ${numbers.name[2]}`, signed(numbers.margins[i]), verdict(numbers.margins[i])));
  }
  const made = [element("h2", index.item[i]), facts];
  for (const { role, content } of item.prompt) made.push(element("h2", role), element("div", content, "turn"));
  made.push(...criteria(i));
  const best = Math.max(...item.responses.map(([, grade]) => grade ?? -Infinity));
  item.responses.forEach(([text, grade], k) => {
    const place = offsets[i] + k;
    const good = grade !== null && grade === best;
    const head = element("div", "", "facts");
    for (const numbers of [a, b]) if (numbers) head.append(fact(`reward, ${numbers.name[2]}`, signed(numbers.rewards[place])));
    head.append(fact("grade", grade === null ? "–" : String(grade)), fact("characters", [...text].length.toLocaleString("en")));
    const title = item.responses.length === 2 && grade !== null ? (good ? "chosen" : "rejected") : `response ${k + 1}`;
    const strip = a.tokens[index.item[i]]?.[k];
    const shown = strip ? heat(...strip) : element("div", text);
    if (strip) head.append(element("small", "blue tokens earned it, orange ones cost it; point at one"));
    shown.classList.add("response", good ? "good" : "poor");
    made.push(element("h2", title), head, shown);
  });
  article.replaceChildren(...made);
}

function seen() {
  article.focus({ preventScroll: true });
  if (window.innerWidth < 720) article.scrollIntoView();
}

async function start() {
  index = await json("index");
  offsets = [];
  index.responses.reduce((sum, count, i) => { offsets[i] = sum; return sum + count; }, 0);
  const itself = ([strong, weak]) => Number(strong === weak);
  const pairs = distinct([...index.rewards].sort((x, y) => itself(x) - itself(y)).map(pairName));
  fill("pair", pairs);
  fill("other_pair", pairs, "nothing");
  fill("section", distinct(index.section), "all");
  fill("subset", distinct(index.subset), "all");
  for (const prefix of ["", "other_"]) {
    fillVariants(prefix);
    field(`${prefix}pair`).addEventListener("change", () => fillVariants(prefix));
  }
  controls.addEventListener("change", () => update().catch(tell));
  let pause;
  field("words").addEventListener("input", () => { clearTimeout(pause); pause = setTimeout(() => update().catch(tell), 250); });
  controls.addEventListener("submit", (event) => event.preventDefault());
  await update();
  controls.hidden = false;
}

function tell(error) { state.textContent = clean(String(error.message)); }

start().catch(tell);
