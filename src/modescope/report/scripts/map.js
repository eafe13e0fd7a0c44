// Function space: where every state is, what one was at an epoch, and what two of them have in common.

function mapPanel(root, states, choice) {
  const chart = made("div", { class: "chart" }), detail = made("div", { class: "detail", "aria-live": "polite" });
  let projection = 0, epoch = states.last, next = "first";

  const epochs = slider("Epoch", states.epochNames, epoch, (place) => choice.setEpoch(place));
  const controls = made("div", { class: "controls" }, epochs.element,
    player(() => epoch, states.epochs.length, (place) => choice.setEpoch(place)));
  if (states.maps.length > 1) {
    controls.append(chooser("Map", states.maps.map(([name]) => name), 0, (place) => { projection = place; show(); }).element);
  }
  const pickers = {};
  const pair = made("div", { class: "controls" });
  for (const which of ["first", "second"]) {
    const title = which === "first" ? "Compare" : "with";
    const pick = (change) => choice.setPair({ ...choice.pair, [which]: { ...choice.pair[which], ...change } });
    pickers[which] = {
      voter: chooser(title, states.voters, choice.pair[which].voter, (voter) => pick({ voter })),
      epoch: chooser("at epoch", states.epochNames, choice.pair[which].epoch, (at) => pick({ epoch: at })),
    };
    pair.append(pickers[which].voter.element, pickers[which].epoch.element);
  }
  root.append(controls, chart, pair, detail);

  function traces() {
    const map = states.maps[projection][1];
    const lines = states.members.map((member, voter) => {
      const shown = states.epochs.slice(0, epoch + 1);
      const places = shown.map((_, at) => states.place(map, { voter, epoch: at }));
      const sizes = shown.map((_, at) => (at === epoch ? 11 : 4.5));
      return {
        type: "scatter", mode: "lines+markers", name: `member ${member}`, legendgroup: String(voter),
        x: places.map(([x]) => x), y: places.map(([, y]) => y),
        customdata: shown.map((number, at) => [voter, at, number, percent(states.accuracy({ voter, epoch: at }))]),
        line: { color: states.colours[voter], width: 1 },
        marker: { color: states.colours[voter], size: sizes, line: { color: "var(--paper)", width: 0.6 } },
        hovertemplate: `member ${member}, epoch %{customdata[2]}<br>accuracy %{customdata[3]}<extra></extra>`,
      };
    });
    for (const [which, symbol] of [["first", "circle-open"], ["second", "square-open"]]) {
      const state = choice.pair[which];
      if (state.voter >= states.members.length) continue;
      const [x, y] = states.place(map, state);
      lines.push({
        type: "scatter", mode: "markers", name: which, x: [x], y: [y], hoverinfo: "skip", showlegend: false,
        marker: { symbol, size: 19, color: "var(--ink)", line: { width: 2.4, color: "var(--ink)" } },
      });
    }
    return lines;
  }

  async function show() {
    const [name] = states.maps[projection];
    const values = states.maps[projection][1];
    const range = (start) => {
      let low = Infinity, high = -Infinity;
      for (let at = start; at < values.length; at += 2) { low = Math.min(low, values[at]); high = Math.max(high, values[at]); }
      const margin = 0.06 * (high - low || 1);
      return [low - margin, high + margin];
    };
    const axis = (number) => ({ title: { text: `${name} ${number}` }, range: range(number - 1), showticklabels: false, zeroline: false });
    const layout = { xaxis: axis(1), yaxis: axis(2), hovermode: "closest", legend: { orientation: "h", y: -0.12 } };
    const accuracies = states.members.map((_, voter) => states.accuracy({ voter, epoch }));
    const alternative = `${name} map of what ${states.members.length} members predict, up to epoch ${states.epochs[epoch]}, ` +
      `where their accuracies are ${percent(Math.min(...accuracies))} to ${percent(Math.max(...accuracies))}. ` +
      "Each member is a path; paths that end apart are different functions.";
    await draw(chart, traces(), layout, {}, 460, alternative);
    if (!chart.dataset.listens) {
      chart.dataset.listens = "yes";
      chart.on("plotly_click", ({ points: [point] }) => {
        if (!point.customdata) return;
        const [voter, at] = point.customdata;
        choice.setPair({ ...choice.pair, [next]: { voter, epoch: at } });
        next = next === "first" ? "second" : "first";
      });
    }
  }

  function tell() {
    const { first, second } = choice.pair, apart = states.differing(first, second);
    const cosine = states.cosine(first, second);
    const said = `${states.name(first)} (accuracy ${percent(states.accuracy(first))}) and ${states.name(second)} ` +
      `(${percent(states.accuracy(second))}) give different classes to ${apart.length} of ${states.count} examples ` +
      `(${percent(apart.length / states.count)}); the cosine of their weights is ` +
      (Number.isNaN(cosine) ? "not known." : `${cosine.toFixed(3)}.`);
    detail.replaceChildren(made("p", {}, said));
    if (!apart.length) return;
    const hardest = new Map(states.hard.map((place, rank) => [place, rank]));
    const rank = (place) => hardest.get(place) ?? (states.pictured.has(place) ? 1e6 : 2e6);
    const shown = apart.sort((a, b) => rank(a) - rank(b) || a - b).slice(0, 12);
    const cards = shown.map((place) => made("li", {}, states.picture(place, 48), made("span", {},
      `is ${states.classes[states.label[place]]}`, made("br"), `first: ${states.classes[states.at(first)[place]]}`,
      made("br"), `second: ${states.classes[states.at(second)[place]]}`)));
    const heading = apart.length > shown.length ? `${shown.length} of the ${apart.length} examples on which they differ, the hardest first:`
      : "The examples on which they differ:";
    detail.append(made("p", {}, heading), made("ul", { class: "cards" }, ...cards));
  }

  choice.onEpoch((place) => { epoch = place; epochs.set(place); return show(); });
  choice.onPair(() => {
    for (const which of ["first", "second"]) {
      pickers[which].voter.set(choice.pair[which].voter);
      pickers[which].epoch.set(choice.pair[which].epoch);
    }
    tell();
    return show();
  });
  tell();
  return show();
}
