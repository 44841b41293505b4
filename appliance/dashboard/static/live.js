// The live stream. The browser gives an EventSource up for good on some answers, so it is made again, and silence counts.

const QUIET_S = 5;
const LOST_S = 10;
const FIRST_WORD_S = 5; // a page that has never heard the box is lost sooner
const RETRY_MS = [500, 1000, 2000];

let source = null;
let attempts = 0;
let retry = 0;
let lastWord = performance.now();
let lastEvent = 0;
let resting = false;
let heard = false;

export function silence_s() {
  return (performance.now() - lastWord) / 1000;
}

export function isQuiet() {
  return silence_s() > QUIET_S;
}

export function isLost() {
  return silence_s() >= (heard ? LOST_S : FIRST_WORD_S);
}

// Whether the box has said anything to this page yet.
export function hasHeard() {
  return heard;
}

export function isResting() {
  return resting;
}

export function seenEvent(id) {
  lastEvent = Math.max(lastEvent, id);
}

export function lastEventSeen() {
  return lastEvent;
}

function again() {
  if (source) source.close();
  source = null;
  clearTimeout(retry);
  if (resting) return;
  retry = setTimeout(() => open(), RETRY_MS[Math.min(attempts, RETRY_MS.length - 1)]);
  attempts += 1;
}

let handlers = null;

function open() {
  const asked = new URLSearchParams({ page: handlers.page, place: document.body.dataset.here, after: lastEvent });
  source = new EventSource('/stream?' + asked);
  const opened = source;
  opened.addEventListener('board', (event) => {
    if (event.lastEventId) seenEvent(+event.lastEventId);
    handlers.board(JSON.parse(event.data));
  });
  opened.addEventListener('missed', (event) => handlers.missed(JSON.parse(event.data)));
  opened.addEventListener('alive', (event) => {
    const said = JSON.parse(event.data);
    attempts = 0;
    // A server whose ledger does not answer is alive, but says nothing about patients.
    heard = true;
    if (said.read_ago_s < QUIET_S) lastWord = performance.now() - said.read_ago_s * 1000;
    handlers.alive(said);
  });
  opened.addEventListener('rest', () => {
    resting = true;
    opened.close();
    handlers.rest();
  });
  opened.onerror = () => {
    if (opened === source) again();
  };
}

export function listen(given) {
  handlers = given;
  open();
  // A stream may hang without an error: a cable that was pulled says nothing.
  setInterval(() => {
    if (!resting && isQuiet() && source && source.readyState === EventSource.OPEN) again();
  }, 2000);
}
