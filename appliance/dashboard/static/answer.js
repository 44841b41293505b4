// Answering: one press, a name, a POST. Nothing is taken as answered before the box has said so.

const CHANGED = 'This alert has just changed. Look again, then press.';
const NOT_SENT = 'Not sent. The box does not answer. Call the stroke team.';
const SETTLE_MS = 500;
const PATIENCE_MS = 2000;
const PAUSE_S = 60;
const NAME_KEY = 'bleedwatch-name';

const $ = (id) => document.getElementById(id);
const movedAt = new Map(); // card key -> when it last changed or moved
let pausedUntil = 0;
let waiting = null;
let hooks = null;

export function name() {
  try {
    return localStorage.getItem(NAME_KEY) || '';
  } catch {
    return '';
  }
}

function keepName(given) {
  try {
    localStorage.setItem(NAME_KEY, given);
  } catch {
    // A private window: the name is asked again.
  }
  paintName();
}

export function paintName() {
  if ($('person')) $('person').textContent = name() || 'No name chosen';
}

// Sound pauses while a name is being chosen, and comes back by itself.
export function isPaused() {
  return performance.now() < pausedUntil;
}

export function endPause() {
  pausedUntil = 0;
}

export function pauseLeft_s() {
  return Math.max(0, (pausedUntil - performance.now()) / 1000);
}

export function moved(keys) {
  const now = performance.now();
  for (const key of keys) movedAt.set(key, now);
}

function token() {
  return document.querySelector('meta[name="bleedwatch-token"]').content;
}

export async function post(address, body, patience_ms = PATIENCE_MS) {
  return fetch(address, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Bleedwatch-Token': token() },
    body: JSON.stringify(body),
    cache: 'no-store',
    signal: AbortSignal.timeout(patience_ms),
  });
}

function refuse(words) {
  const place = $('refused');
  place.textContent = words;
  place.hidden = false;
  clearTimeout(refuse.timer);
  refuse.timer = setTimeout(() => {
    place.hidden = true;
  }, 6000);
}

// What each button sends beside page and name, by its data-action.
const SENT = {
  acknowledge: (button) => ({ alert: +button.target, event: +button.event }),
  seen: (button) => ({ study: +button.target }),
  'test-alarm': () => ({}),
  'judge-study': (button) => ({ study: +button.target, judged: button.judged }),
  judge: (button) => ({ alert: +button.target, event: +button.event, judged: button.judged }),
};

async function send(press, by) {
  const body = { page: hooks.page, by, ...press.sent };
  if (press.action === 'acknowledge') hooks.quiet(press.target);
  try {
    const answer = await post('/' + press.action, body);
    const said = await answer.json();
    if (answer.ok) {
      $('refused').hidden = true;
      hooks.answered(press, said);
      return;
    }
    refuse(said.message);
  } catch {
    refuse(NOT_SENT);
  }
  hooks.unanswered(press);
}

function askWho(press) {
  if (!$('who')) return;
  waiting = press;
  const sounds = press !== null && press.action === 'acknowledge';
  $('who-h').textContent = press && press.action === 'test-alarm' ? 'Who starts the test?' : 'Who has seen this?';
  $('who-pause').hidden = !sounds;
  if (sounds) pausedUntil = performance.now() + PAUSE_S * 1000;
  $('who-name').value = '';
  $('who').showModal();
}

function chosen(given) {
  const by = given.trim();
  if (!by) return;
  const press = waiting;
  waiting = null;
  pausedUntil = 0;
  keepName(by);
  if ($('who').open) $('who').close();
  if (press) send(press, by);
}

function pressed(button) {
  const card = button.closest('[data-key]');
  const action = button.dataset.action;
  const press = { action, target: +button.dataset.target, sent: SENT[action](button.dataset) };
  if (card && performance.now() - (movedAt.get(card.dataset.key) || -SETTLE_MS) < SETTLE_MS) {
    refuse(CHANGED);
    return;
  }
  if (name()) send(press, name());
  else askWho(press);
}

export function tick() {
  if (!waiting) return;
  const left = Math.ceil(pauseLeft_s());
  $('who-paused').hidden = left === 0;
  $('who-back-again').hidden = left > 0;
  $('who-left').textContent = Math.floor(left / 60) + ':' + String(left % 60).padStart(2, '0');
}

export function start(given) {
  hooks = given;
  paintName();
  document.addEventListener('click', (event) => {
    const button = event.target.closest('[data-action]');
    if (button) pressed(button);
  });
  if ($('person')) $('person').addEventListener('click', () => askWho(null));
  $('who-back').addEventListener('click', () => $('who').close());
  $('who').addEventListener('close', () => {
    waiting = null;
    pausedUntil = 0;
  });
  $('who-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const button = event.submitter;
    chosen(button && button.hasAttribute('data-person') ? button.value : $('who-name').value);
  });
}
