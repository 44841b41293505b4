// The pictures of the slices, kept in this page's memory and nowhere else: the box forbids the browser to store them.
// What is looked at now comes first, then its neighbours, nearest first. Never more than three fetches at once: the press
// on Acknowledge and the live stream need room.

const MOST_AT_ONCE = 3;
const MOST_BYTES = 96 * 2 ** 20; // as they came
const MOST_PIXELS = 24 * 2 ** 20; // unpacked, ready to paint
const PATIENCE_MS = 8000;

const kept = new Map(); // address -> { blob, bitmap, gone }; the longest unused first
const under_way = new Map(); // address -> promise
let wanted = []; // addresses in the order of need

function touch(address) {
  const one = kept.get(address);
  kept.delete(address);
  kept.set(address, one);
  return one;
}

function forget() {
  let bytes = 0;
  let pixels = 0;
  for (const [address, one] of [...kept].reverse()) {
    bytes += one.blob ? one.blob.size : 0;
    pixels += one.bitmap ? one.bitmap.width * one.bitmap.height : 0;
    if (one.bitmap && pixels > MOST_PIXELS) {
      pixels -= one.bitmap.width * one.bitmap.height;
      one.bitmap.close();
      one.bitmap = null;
    }
    if (bytes > MOST_BYTES) kept.delete(address);
  }
}

async function load(address) {
  const answer = await fetch(address, { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS) });
  if (answer.status === 404) {
    kept.set(address, { blob: null, bitmap: null, gone: await answer.text() });
    return;
  }
  if (!answer.ok) throw new Error('the box does not answer');
  const blob = await answer.blob();
  kept.set(address, { blob, bitmap: await createImageBitmap(blob), gone: '' });
  forget();
}

function fetchOne(address) {
  if (!under_way.has(address)) {
    const done = load(address).finally(() => {
      under_way.delete(address);
      fill();
    });
    under_way.set(address, done);
  }
  return under_way.get(address);
}

function fill() {
  for (const address of wanted) {
    if (under_way.size >= MOST_AT_ONCE) return;
    if (!kept.has(address) && !under_way.has(address)) fetchOne(address).catch(() => {});
  }
}

// The layer, or { gone } in words. Throws where the box does not answer.
export async function get(address) {
  if (!kept.has(address)) await fetchOne(address);
  const one = touch(address);
  if (one.blob && !one.bitmap) one.bitmap = await createImageBitmap(one.blob);
  return one;
}

// At once, if it is ready to paint.
export function ready(address) {
  const one = kept.get(address);
  return one && (one.bitmap || one.gone) ? touch(address) : null;
}

export function want(addresses) {
  wanted = addresses;
  fill();
}
