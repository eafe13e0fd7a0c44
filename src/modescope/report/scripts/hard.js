// Hard examples: their images, and what every member said of one at every epoch.

function hardPanel(root, states) {
  const chart = made("div", { class: "chart" }), head = made("p", { "aria-live": "polite" });
  const picked = made("div", { class: "picked" });
  const buttons = states.hard.map((place, rank) => {
    const told = `test example ${states.example[place]}, ${states.classes[states.label[place]]}`;
    return button(states.picture(place, 44), () => show(rank), { "aria-label": `rank ${rank + 1}: ${told}`, "aria-pressed": "false" });
  });
  root.append(made("div", { class: "gallery", role: "group", "aria-label": "the hardest test examples, the hardest first" },
    ...buttons), made("div", { class: "detail" }, picked, head), chart);

  function show(rank) {
    buttons.forEach((each, place) => each.setAttribute("aria-pressed", String(place === rank)));
    const place = states.hard[rank], truth = states.label[place];
    const said = states.voters.map((_, voter) => states.epochs.map((_, epoch) => states.at({ voter, epoch })[place]));
    const last = said.map((row) => row[states.last]), wrong = last.slice(0, states.members.length).filter((name) => name !== truth);
    picked.replaceChildren(states.picture(place, 96));
    const times = new Map();
    wrong.forEach((name) => times.set(name, (times.get(name) || 0) + 1));
    const mistakes = [...times].sort((a, b) => b[1] - a[1]).map(([name, count]) => `${states.classes[name]} (${count})`);
    const members = states.members.length;
    const loss = states.hardLoss[rank];
    head.textContent = `Test example ${states.example[place]} is ${states.classes[truth]}; mean loss ${loss === null ? "without bound" : `${loss.toFixed(2)} nat`}. ` +
      `After the last epoch ${members - wrong.length} of ${members} members are right` +
      (mistakes.length ? `; the others say ${mistakes.join(", ")}. ` : ". ") +
      (states.voters.length > members ? `All averaged say ${states.classes[last[members]]}.` : "");
    const text = said.map((row) => row.map((name) => plain(states.classes[name])));
    const trace = {
      type: "heatmap", x: states.epochNames, y: states.voters, z: said.map((row) => row.map((name) => (name === truth ? 1 : 0))),
      text, hovertemplate: "%{y}, epoch %{x}: %{text}<extra></extra>", zmin: 0, zmax: 1, showscale: false, xgap: 0.6, ygap: 0.6,
      colorscale: [[0, "#e76300"], [1, "#3f90da"]],
    };
    if (Math.max(...text.flat().map((name) => name.length)) <= 2 && chart.clientWidth > 18 * states.epochs.length + 120) {
      Object.assign(trace, { texttemplate: "%{text}", textfont: { size: 9, color: "#ffffff" } });
    }
    const layout = {
      xaxis: { title: { text: "epoch" }, type: "category", showgrid: false, nticks: 12 },
      yaxis: { autorange: "reversed", showgrid: false, type: "category" }, margin: { l: 20, r: 4, t: 8, b: 44 },
    };
    return draw(chart, [trace], layout, {}, 130 + 22 * states.voters.length,
      `What each member said of test example ${states.example[place]} at each epoch: blue is right, orange wrong. ${head.textContent}`);
  }
  return states.hard.length ? show(0) : undefined;
}
