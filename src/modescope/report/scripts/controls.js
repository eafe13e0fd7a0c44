// What a reader can change: every one is the browser's own control with a label, so a keyboard reaches it.

function made(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children); // names of the data come in here: as text, never as markup
  return element;
}

function chooser(label, names, chosen, changed) {
  const select = made("select", {}, ...names.map((name, place) => made("option", { value: String(place) }, name)));
  select.value = String(chosen);
  select.addEventListener("change", () => changed(Number(select.value)));
  return { element: made("label", {}, `${label} `, select), set: (place) => { select.value = String(place); } };
}

function slider(label, names, chosen, changed) {
  const told = made("output", {}, names[chosen]);
  const input = made("input", { type: "range", min: "0", max: String(names.length - 1), step: "1" });
  input.value = String(chosen);
  input.setAttribute("aria-valuetext", names[chosen]);
  const set = (place) => {
    input.value = String(place);
    told.textContent = names[place];
    input.setAttribute("aria-valuetext", names[place]);
  };
  input.addEventListener("input", () => { set(Number(input.value)); changed(Number(input.value)); });
  return { element: made("label", { class: "slider" }, `${label} `, input, " ", told), set, value: () => Number(input.value) };
}

function button(label, pressed, attributes = {}) {
  const element = made("button", { type: "button", ...attributes }, label);
  element.addEventListener("click", pressed);
  return element;
}

// A button that goes through a slider's places, and stops at the last one or when it is pressed again.
function player(place, count, changed) {
  let timer = null;
  const element = button("Play", () => {
    if (timer) return stop();
    element.textContent = "Stop";
    let at = place() >= count - 1 ? -1 : place();
    timer = setInterval(() => { at += 1; changed(at); if (at >= count - 1) stop(); }, 220);
  });
  function stop() { clearInterval(timer); timer = null; element.textContent = "Play"; }
  return element;
}

// Names as plotly.js may show them: it reads some markup, and formulas between dollars.
function plain(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/\$/g, "&#36;");
}

const percent = (part, digits = 1) => `${(100 * part).toFixed(digits)} %`;
