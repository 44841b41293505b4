// The parts that only this page shows: fetched again when something has changed, and as often as the page asks for.

import { setAges } from './ages.js';
import { post } from './answer.js';
import { swap } from './parts.js';

const ALARM_FIRST_MS = 150; // what is fetched here must not keep an alarm from the screen
const NOT_MORE_OFTEN_THAN_MS = 500;
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

function fetchIn(wait_ms) {
  clearTimeout(wanted);
  wanted = setTimeout(() => (under_way ? fetchIn(ALARM_FIRST_MS) : fetchParts()), wait_ms);
}

let told = 0; // the last alert event that was heard of

// Something has changed. A page of alerts alone does not ask again for each slice that lands.
export function heard(event) {
  const alerts_too = event !== told;
  told = event;
  if (alerts_too || document.body.dataset.follows !== 'alerts') soon();
}

export function soon() {
  if (!document.body.dataset.parts || wanted) return;
  fetchIn(Math.max(ALARM_FIRST_MS, began + NOT_MORE_OFTEN_THAN_MS - performance.now()));
}

// Another set of parts from now on: a filter was chosen, another page of a list. `body`: sent by POST.
export function from(address, body = null) {
  document.body.dataset.parts = address;
  sent = body;
  fetchIn(0);
}

export function start(given) {
  painted = given;
  const every_s = +document.body.dataset.every;
  if (every_s) setInterval(soon, every_s * 1000);
}
