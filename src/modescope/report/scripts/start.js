// Everything begins here; where a browser lacks what is needed, the still figures take the place of the charts.

// What panels share: an epoch, and two states that are compared.
function shared(states) {
  const epochs = [], pairs = [];
  const choice = {
    pair: { first: { voter: 0, epoch: states.last }, second: { voter: Math.min(1, states.voters.length - 1), epoch: states.last } },
    onEpoch: (listener) => epochs.push(listener),
    onPair: (listener) => pairs.push(listener),
    setEpoch: (place) => epochs.forEach((listener) => listener(place)),
    setPair: (pair) => { choice.pair = pair; pairs.forEach((listener) => listener()); },
  };
  return choice;
}

function still() {
  for (const quiet of document.querySelectorAll("noscript")) {
    quiet.insertAdjacentHTML("afterend", quiet.textContent); // our own markup, escaped when the page was made
    quiet.remove();
  }
}

// A page of a run that still trains loads itself again, unless its reader asks it not to.
function follow() {
  const box = document.getElementById("follow");
  if (box) setInterval(() => { if (box.checked) location.reload(); }, 1000 * Number(box.dataset.seconds));
}

async function start() {
  follow();
  const page = JSON.parse(document.getElementById("page-data").textContent);
  if (typeof DecompressionStream === "undefined" || typeof Plotly === "undefined") return still();
  themed();
  const arrays = await decoded(page.arrays);
  const panels = [];
  if (page.states) {
    const states = new States(page.states, arrays), choice = shared(states);
    for (const [name, panel] of Object.entries({ map: mapPanel, similarity: similarityPanel, confusion: confusionPanel, hard: hardPanel })) {
      const root = document.querySelector(`[data-panel="${name}"]`);
      if (root) panels.push(() => panel(root, states, choice));
    }
  }
  for (const root of document.querySelectorAll("[data-charts]")) {
    for (const chart of page.charts[root.dataset.charts]) {
      const place = made("div", { class: "panel" });
      root.append(place);
      panels.push(() => chartPanel(place, chart, arrays));
    }
  }
  for (const panel of panels) await panel();
  document.documentElement.dataset.ready = "yes";
}

start();
