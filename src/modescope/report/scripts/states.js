// The states of a run, (member, epoch): what each said of every example on the page, and how alike two of them are.

class States {
  constructor({ accuracy, cosine, maps, ...facts }, arrays) {
    Object.assign(this, facts);
    this.voters = this.members.map((member) => `member ${member}`); // rows of `said`
    if (this.members.length > 1) this.voters.push("all members averaged");
    this.said = arrays[facts.predicted.$].values;
    this.label = arrays[facts.label.$].values;
    this.example = arrays[facts.examples.$].values;
    this.right = arrays[accuracy.$].values;
    this.count = this.label.length;
    this.cosines = cosine && unscaled(cosine, arrays);
    this.maps = Object.entries(maps).map(([name, map]) => [name, arrays[map.$].values]);
    this.pictures = facts.pictures && arrays[facts.pictures.$];
    this.pictured = new Map(facts.pictures ? Array.from(arrays[facts.pictured.$].values, (at, row) => [at, row]) : []);
    this.epochNames = this.epochs.map(String);
    this.last = this.epochs.length - 1;
  }

  at({ voter, epoch }) { // the classes that one state predicts
    const start = (voter * this.epochs.length + epoch) * this.count;
    return this.said.subarray(start, start + this.count);
  }

  accuracy({ voter, epoch }) { return this.right[voter * this.epochs.length + epoch]; }

  differing(one, other) { // places of the examples of which two states say different classes
    const first = this.at(one), second = this.at(other), places = [];
    for (let place = 0; place < this.count; place++) if (first[place] !== second[place]) places.push(place);
    return places;
  }

  disagreement(one, other) {
    const first = this.at(one), second = this.at(other);
    let apart = 0;
    for (let place = 0; place < this.count; place++) apart += first[place] !== second[place];
    return apart / this.count;
  }

  cosine(one, other) { // NaN where weights were not kept, and for the average, which has none
    const members = this.members.length, epochs = this.epochs.length;
    if (!this.cosines || one.voter >= members || other.voter >= members) return NaN;
    return this.cosines[(one.voter * epochs + one.epoch) * members * epochs + other.voter * epochs + other.epoch];
  }

  confusion(state) { // counts, one row for each true class
    const classes = this.classes.length, counts = Array.from({ length: classes }, () => new Array(classes).fill(0));
    this.at(state).forEach((said, place) => { counts[this.label[place]][said] += 1; });
    return counts;
  }

  place(map, { voter, epoch }) { // where a member's state is on a map
    const at = (voter * this.epochs.length + epoch) * 2;
    return [map[at], map[at + 1]];
  }

  name({ voter, epoch }) { return `${this.voters[voter]}, epoch ${this.epochs[epoch]}`; }

  picture(place, size) { // an example's image as a canvas, or its number where there is none
    const number = this.example[place], told = `test example ${number}, ${this.classes[this.label[place]]}`;
    if (!this.pictured.has(place)) return made("span", { class: "nopicture", title: told }, `#${number}`);
    const [, height, width, channels] = this.pictures.shape, pixels = height * width * channels;
    const start = this.pictured.get(place) * pixels;
    const image = new ImageData(width, height);
    for (let pixel = 0; pixel < height * width; pixel++) {
      for (let tone = 0; tone < 3; tone++) {
        image.data[4 * pixel + tone] = this.pictures.values[start + pixel * channels + (channels === 1 ? 0 : tone)];
      }
      image.data[4 * pixel + 3] = 255;
    }
    const canvas = made("canvas", { width, height, role: "img", "aria-label": told, title: told });
    canvas.style.width = `${size}px`;
    canvas.style.height = `${(size * height) / width}px`;
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  }
}
