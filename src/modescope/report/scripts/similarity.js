// How alike states are, as weights and as functions: snapshots of one member, and members at one epoch.

// dark to bright, alike for every kind of colour vision (matplotlib's magma and viridis, at nine places)
const MAGMA = [[0, "#000004"], [0.125, "#1d1147"], [0.25, "#51127c"], [0.375, "#832681"], [0.5, "#b73779"], [0.625, "#e75263"], [0.75, "#fc8961"], [0.875, "#fec488"], [1, "#fcfdbf"]];
const VIRIDIS = [[0, "#440154"], [0.125, "#472d7b"], [0.25, "#3b528b"], [0.375, "#2c728e"], [0.5, "#21918c"], [0.625, "#28ae80"], [0.75, "#5ec962"], [0.875, "#addc30"], [1, "#fde725"]];

const MEASURES = {
  disagreement: { title: "Disagreement (%)", scale: MAGMA, form: (value) => (100 * value).toFixed(1), top: undefined },
  cosine: { title: "Cosine of the weights", scale: VIRIDIS, form: (value) => value.toFixed(2), top: 1 },
};

// The matrix of one measure between states; a click on a cell compares its two states on the map.
function matrix(chart, states, chosen, measure, names, axis, choice) {
  const { title, scale, form, top } = MEASURES[measure];
  const factor = measure === "disagreement" ? 100 : 1;
  const values = chosen.map((one) => chosen.map((other) => states[measure](one, other) * factor));
  const finite = values.flat().filter(Number.isFinite);
  const off = values.flatMap((row, place) => row.filter((value, other) => other !== place && Number.isFinite(value)));
  const text = values.map((row) => row.map((value) => (Number.isFinite(value) ? form(value / factor) : "")));
  const hover = chosen.map((one, row) => chosen.map((other, column) =>
    `${states.name(one)}<br>${states.name(other)}<br>${title}: ${text[row][column] || "not kept"}`));
  const mean = off.length ? off.reduce((sum, value) => sum + value, 0) / off.length : NaN;
  const trace = {
    type: "heatmap", x: names, y: names, z: values, colorscale: scale, zmin: 0, zmax: top,
    text, customdata: hover, hovertemplate: "%{customdata}<extra></extra>", colorbar: { title: { text: "" }, thickness: 10, len: 0.9 },
    xgap: 0.5, ygap: 0.5,
  };
  if (names.length <= 12) Object.assign(trace, { texttemplate: "%{text}", textfont: { size: 9 } });
  const side = { title: { text: axis }, type: "category", showgrid: false, nticks: 12 };
  const layout = {
    xaxis: side, yaxis: { ...side, autorange: "reversed" },
    title: { text: title, x: 0, font: { size: 13 } }, margin: { l: 44, r: 4, t: 34, b: 44 },
  };
  const told = finite.length ? `${title} between ${names.length} states; ${form(mean / factor)} on average off the diagonal, ` +
    `${form(Math.min(...off, Infinity) / factor)} to ${form(Math.max(...off, -Infinity) / factor)}.`
    : `${title}: no weights were kept.`;
  return draw(chart, [trace], layout, {}, 330, off.length ? told : title).then(() => {
    chart.removeAllListeners("plotly_click");
    chart.on("plotly_click", ({ points: [point] }) => {
      const [row, column] = point.pointIndex ?? point.pointNumber;
      choice.setPair({ first: chosen[row], second: chosen[column] });
    });
  });
}

function similarityPanel(root, states, choice) {
  const measures = states.cosines ? ["disagreement", "cosine"] : ["disagreement"];
  const charts = (title) => {
    const shown = measures.map(() => made("div", { class: "chart" }));
    const side = made("div", { class: "side" }, ...shown);
    root.append(made("h3", {}, title), side);
    return { shown, side };
  };
  let voter = 0, epoch = states.last;

  const snapshots = charts("Snapshots of one member");
  const showSnapshots = () => Promise.all(measures.map((measure, place) => matrix(snapshots.shown[place], states,
    states.epochs.map((_, at) => ({ voter, epoch: at })), measure, states.epochNames, "epoch", choice)));
  snapshots.side.before(made("div", { class: "controls" },
    chooser("Member", states.members.map(String), 0, (place) => { voter = place; showSnapshots(); }).element));
  const all = [showSnapshots()];

  if (states.members.length > 1) {
    const members = charts("Members at one epoch");
    const showMembers = () => Promise.all(measures.map((measure, place) => matrix(members.shown[place], states,
      states.members.map((_, row) => ({ voter: row, epoch })), measure, states.members.map(String), "member", choice)));
    const epochs = slider("Epoch", states.epochNames, epoch, (place) => choice.setEpoch(place));
    members.side.before(made("div", { class: "controls" }, epochs.element));
    choice.onEpoch((place) => { epoch = place; epochs.set(place); return showMembers(); });
    all.push(showMembers());
  }
  return Promise.all(all);
}
