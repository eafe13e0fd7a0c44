// Light and dark: charts are described with var(--ink) and the like, and are drawn again when these change.

const drawn = new Map(); // element -> what draws it again

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// A description as plotly.js wants it: arrays in place of their names, colours in place of variables.
function painted(value, arrays) {
  if (typeof value === "string") return value.replace(/var\((--[a-z]+)\)/g, (_, name) => colour(name));
  if (Array.isArray(value)) return value.map((part) => painted(part, arrays));
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return value;
  if ("$" in value) return nested(arrays[value.$].values, arrays[value.$].shape);
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, painted(part, arrays)]));
}

const AXIS = { gridcolor: "var(--line)", zerolinecolor: "var(--line)", linecolor: "var(--line)", automargin: true };

function dressed(layout, height) {
  const plain = {
    height,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: "var(--ink)", size: 12, family: "system-ui, sans-serif" },
    margin: { l: 48, r: 12, t: 16, b: 44 },
    hoverlabel: { bgcolor: "var(--card)", bordercolor: "var(--line)", font: { color: "var(--ink)" } },
    dragmode: false,
    ...layout,
  };
  for (const key of new Set(["xaxis", "yaxis", ...Object.keys(layout)])) {
    if (/^[xy]axis\d*$/.test(key)) plain[key] = { ...AXIS, ...layout[key] };
    if (/^scene\d*$/.test(key)) {
      plain[key] = { ...layout[key] };
      for (const axis of ["xaxis", "yaxis", "zaxis"]) plain[key][axis] = { gridcolor: "var(--soft)", ...layout[key][axis] };
    }
  }
  return plain;
}

const QUIET = { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: "reset" };

// Draw a chart into an element, now and whenever the colours change.
async function draw(element, data, layout, arrays, height, alternative) {
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", alternative);
  const again = () => Plotly.react(element, painted(data, arrays), painted(dressed(layout, height), arrays), QUIET);
  drawn.set(element, again);
  await again();
}

function redraw() {
  for (const again of drawn.values()) again();
}

function themed() {
  const root = document.documentElement, button = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
  const told = () => { button.textContent = isDark() ? "Light page" : "Dark page"; };
  button.hidden = false;
  button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; told(); redraw(); });
  dark.addEventListener("change", () => { told(); redraw(); });
  let before;
  addEventListener("beforeprint", () => { before = root.dataset.theme; root.dataset.theme = "light"; redraw(); });
  addEventListener("afterprint", () => { if (before) root.dataset.theme = before; else delete root.dataset.theme; redraw(); });
  told();
}
