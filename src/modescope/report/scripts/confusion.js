// Which classes are taken for which: two states side by side, at any epoch.

function confusionPanel(root, states) {
  let epoch = states.last, rates = false;
  const average = states.voters.length - 1;
  const sides = [0, average].map((voter) => ({ voter, chart: made("div", { class: "chart" }) }));
  if (average === 0) sides.pop();
  const epochs = slider("Epoch", states.epochNames, epoch, (place) => { epoch = place; show(); });
  const kinds = chooser("Show", ["counts", "rates of each true class (%)"], 0, (place) => { rates = place === 1; show(); });
  const play = player(() => epoch, states.epochs.length, (place) => { epoch = place; epochs.set(place); show(); });
  root.append(made("div", { class: "controls" }, epochs.element, play, kinds.element));
  root.append(made("div", { class: "side" }, ...sides.map((side, place) => made("div", {},
    made("div", { class: "controls" }, chooser(place ? "Beside" : "Of", states.voters, side.voter,
      (voter) => { side.voter = voter; show(); }).element), side.chart))));

  function one({ voter, chart }) {
    const state = { voter, epoch }, counts = states.confusion(state);
    const totals = counts.map((row) => row.reduce((sum, count) => sum + count, 0));
    const z = counts.map((row, place) => row.map((count) => (rates ? (100 * count) / (totals[place] || 1) : count)));
    const names = states.classes.map(plain);
    // errors are few beside what is right: a root makes them visible
    const trace = {
      type: "heatmap", x: names, y: names, z: z.map((row) => row.map(Math.sqrt)), customdata: z,
      colorscale: [[0, "var(--card)"], [1, "var(--accent)"]], zmin: 0, showscale: false, xgap: 0.5, ygap: 0.5,
      hovertemplate: `true %{y}, said %{x}: %{customdata:.${rates ? 1 : 0}f}${rates ? " %" : ""}<extra></extra>`,
    };
    if (names.length <= 12) {
      trace.text = z.map((row) => row.map((value) => (value ? value.toFixed(0) : "")));
      Object.assign(trace, { texttemplate: "%{text}", textfont: { size: 10 } });
    }
    const side = { type: "category", showgrid: false, nticks: 20 };
    const layout = {
      xaxis: { ...side, title: { text: "predicted class" } },
      yaxis: { ...side, title: { text: "true class" }, autorange: "reversed" },
      title: { text: `${states.name(state)}: ${percent(states.accuracy(state))} right`, x: 0, font: { size: 13 } },
      margin: { l: 50, r: 4, t: 34, b: 50 },
    };
    let worst = { count: 0 };
    counts.forEach((row, is) => row.forEach((count, said) => { if (is !== said && count > worst.count) worst = { count, is, said }; }));
    const told = `Confusion matrix of ${states.name(state)}: ${percent(states.accuracy(state))} right` + (worst.count
      ? `; most often ${states.classes[worst.is]} is taken for ${states.classes[worst.said]} (${worst.count} times).` : ".");
    return draw(chart, [trace], layout, {}, 380, told);
  }
  const show = () => Promise.all(sides.map(one));
  return show();
}
