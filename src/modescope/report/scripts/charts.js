// Charts that are described whole: a chooser for each of their controls, and the view that was chosen.

const hasWebGL = (() => {
  let found;
  return () => {
    found ??= Boolean(document.createElement("canvas").getContext("webgl2") || document.createElement("canvas").getContext("webgl"));
    return found;
  };
})();

function chartPanel(root, chart, arrays) {
  const element = made("div", { class: "chart" }), notice = made("p", { class: "notice", hidden: true });
  const chosen = chart.controls.map(() => 0);
  const controls = chart.controls.map((control, place) =>
    chooser(control.name, control.choices, 0, (choice) => { chosen[place] = choice; show(); }).element);
  const turns = made("div", { class: "controls", hidden: true }, button("Turn left", () => turn(0.4)), button("Turn right", () => turn(-0.4)));
  if (chart.title) root.append(made("h3", {}, chart.title));
  if (controls.length) root.append(made("div", { class: "controls" }, ...controls));
  root.append(turns, notice, element);
  if (chart.table) {
    const row = (cells, tag) => made("tr", {}, ...cells.map((cell) => made(tag, tag === "th" ? { scope: "col" } : {}, cell)));
    root.append(made("details", {}, made("summary", {}, "The numbers"), made("div", { class: "wide" },
      made("table", { class: "numbers" }, made("thead", {}, row(chart.table.header, "th")),
        made("tbody", {}, ...chart.table.rows.map((cells) => row(cells, "td")))))));
  }

  function turn(angle) {
    const scene = element._fullLayout.scene, { x, y, z } = scene.camera.eye;
    const eye = { x: x * Math.cos(angle) - y * Math.sin(angle), y: x * Math.sin(angle) + y * Math.cos(angle), z };
    Plotly.relayout(element, { "scene.camera.eye": eye });
  }

  async function show() {
    const view = chart.views[chosen.join(",")];
    const solid = view.data.some((trace) => ["surface", "scatter3d", "mesh3d"].includes(trace.type));
    turns.hidden = !solid || !hasWebGL();
    notice.hidden = !solid || hasWebGL();
    if (solid && !hasWebGL()) {
      notice.textContent = "This browser shows no 3-D graphics (WebGL is off); choose another view.";
      Plotly.purge(element);
      drawn.delete(element);
      return;
    }
    if (solid !== Boolean(element.dataset.solid)) { // plotly.js leaves traces of a scene behind
      Plotly.purge(element);
      element.dataset.solid = solid ? "yes" : "";
    }
    const told = chart.controls.map((control, place) => `${control.name}: ${control.choices[chosen[place]]}`).join("; ");
    await draw(element, view.data, view.layout, arrays, chart.height, told ? `${chart.alternative} Shown: ${told}.` : chart.alternative);
  }
  return show();
}
