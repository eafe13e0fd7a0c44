// Arrays of the page: {"$": name} stands for one of them, stored once as compressed little-endian bytes.
"use strict";

const KINDS = { Uint8Array, Int8Array, Uint16Array, Int16Array, Int32Array, Float32Array };

async function inflated(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

async function decoded(stored) {
  const arrays = {};
  for (const [name, array] of Object.entries(stored)) {
    arrays[name] = { values: new KINDS[array.type](await inflated(array.bytes)), shape: array.shape };
  }
  return arrays;
}

// Rows of rows, as plotly.js wants them: the numbers themselves are not copied.
function nested(values, shape) {
  if (shape.length <= 1) return values;
  const size = values.length / shape[0];
  return Array.from({ length: shape[0] }, (_, row) =>
    nested(values.subarray(row * size, (row + 1) * size), shape.slice(1)));
}

// What was stored in 65,534ths of a range, as numbers again.
function unscaled(reference, arrays) {
  const { low, high } = reference, parts = arrays[reference.$].values;
  return Float32Array.from(parts, (part) => (part === 65535 ? NaN : low + (part / 65534) * (high - low)));
}
