// The parts that only this page shows: fetched again when something has changed, and as often as the page asks for.

import { setAges } from './ages.js';
import { post } from './answer.js';
import { swap } from './parts.js';

const NOT_MORE_OFTEN_THAN_MS = 300;
const PATIENCE_MS = 5000;

let painted = () => {};
let began = -Infinity;
let under_way = false;
let wanted = 0; // a timer
let sent = null; // what is sent along, where an address may not hold it

async function fetchParts() {
  wanted = 0;
  under_way = true;
  began = performance.now();
  try {
    const address = document.body.dataset.parts;
    const asked = sent;
    const answer = sent
      ? await post(address, sent, PATIENCE_MS)
      : await fetch(address, { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) return;
    const said = await answer.json();
    if (asked !== sent || address !== document.body.dataset.parts) return; // something else was chosen meanwhile
    for (const [id, markup] of Object.entries(said.parts)) if (document.getElementById(id)) swap(id, markup);
    setAges('page', said.ages, 0);
    painted();
  } catch {
    // The live stream says that the box does not answer.
  } finally {
    under_way = false;
  }
}

// Something has changed: fetched at once, or as soon as the last time is long enough ago.
export function soon() {
  if (!document.body.dataset.parts || wanted) return;
  const wait = under_way ? NOT_MORE_OFTEN_THAN_MS : Math.max(0, began + NOT_MORE_OFTEN_THAN_MS - performance.now());
  wanted = setTimeout(() => (under_way ? ((wanted = 0), soon()) : fetchParts()), wait);
}

// Another set of parts from now on: a filter was chosen, another page of a list. `body`: sent by POST.
export function from(address, body = null) {
  document.body.dataset.parts = address;
  sent = body;
  soon();
}

export function start(given) {
  painted = given;
  const every_s = +document.body.dataset.every;
  if (every_s) setInterval(soon, every_s * 1000);
}
