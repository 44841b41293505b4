// The script of every page: it only counts, listens, sounds and swaps what the server has written.

import { counting, paintAges, setAges } from './ages.js';
import * as answer from './answer.js';
import * as live from './live.js';
import { swap } from './parts.js';
import * as refresh from './refresh.js';
import * as sound from './sound.js';

const ASK_AFTER_S = 1;
const G_WITHIN_MS = 1500;
const PAGES = { b: '/', l: '/alerts', s: '/system' };

const $ = (id) => document.getElementById(id);
const page = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, '0')).join('');

let alarms = [];
let boxTime = '';
let silentSince = '';
let lostSaid = false;
let answeredAlert = 0; // the one whose card is about to change
const known = new Set(); // events of CRITICAL that this page has been given: a new one begins its burst at once
const begun = new Set(); // events whose sound this page has begun
const aloud = new Set(); // events that were said to screen readers
const reported = new Map(); // event -> whether it was reported as sounded
const quieted = new Map(); // alert pressed here -> the event it was pressed for, until the box has its word

window.bleedwatch = Object.freeze({
  get soundState() {
    return sound.state();
  },
  get pulsesScheduled() {
    return sound.facts.pulsesScheduled;
  },
  get page() {
    return page;
  },
});

// ---- what sounds

const sounding = (level) => alarms.filter((one) => one.sounds && one.level === level && quieted.get(one.alert) !== one.event);

function begin(events) {
  if (sound.isArmed()) for (const one of events) begun.add(one.event);
}

function chooseSound() {
  const critical = sounding('CRITICAL');
  const technical = sounding('TECHNICAL');
  const fresh = critical.some((one) => !known.has(one.event));
  for (const one of critical) known.add(one.event);
  if (fresh) answer.endPause(); // it was not what the person pressed for
  if (critical.length && !answer.isPaused()) {
    sound.want('critical', fresh);
    begin(critical);
    return;
  }
  const blind = technical.filter((one) => one.blind);
  if (critical.length === 0 && (blind.length || live.isLost())) {
    sound.want('blind', false);
    begin(blind);
    return;
  }
  sound.want(null, false);
  for (const [level, name] of [['TECHNICAL', 'technical'], ['TEST', 'test']]) {
    const waiting = sounding(level).filter((one) => !begun.has(one.event));
    if (waiting.length && sound.once(name)) begin(waiting);
  }
}

// ---- what is said aloud, once each

function sayAloud() {
  const shout = [];
  const said = [];
  for (const one of alarms) {
    if (aloud.has(one.spoken) || !(one.sounds || one.level === 'REVIEW')) continue;
    aloud.add(one.spoken);
    (one.level === 'CRITICAL' || one.blind ? shout : said).push(one.said);
  }
  if (shout.length) $('shout').textContent = shout.join(' ');
  if (said.length) $('said').textContent = said.join(' ');
}

// ---- what this page tells the box

function report() {
  const armed = sound.isArmed() && !document.hidden;
  for (const one of alarms) {
    if (!one.sounds || document.hidden || one.alert < 0) continue; // below zero: it has no row to be noted in
    const sounded = armed && begun.has(one.event) && !answer.isPaused();
    if (reported.has(one.event) && (reported.get(one.event) || !sounded)) continue;
    reported.set(one.event, sounded);
    const body = { page, alert: one.alert, event: one.event, sounded };
    const again = () => reported.delete(one.event); // the box did not note it: told again soon
    answer.post('/told', body).then((heard) => heard.ok || again(), again);
  }
}

function saySelf() {
  const body = { page, armed: sound.isArmed() && !document.hidden, hidden: document.hidden };
  answer.post('/here', body).catch(() => {});
}

// ---- what arrives

const stood = new Map(); // card -> where it stood, how large, and for which event its button was

// A button that came under the pointer just now was not meant. A strip that grew or a word that changed moves nothing.
function noteMoves() {
  const moved = [];
  for (const [place, card] of [...document.querySelectorAll('[data-cards] [data-key]')].entries()) {
    const button = card.querySelector('[data-action]');
    const now = [place, card.className, button ? button.dataset.event : ''].join(' ');
    if (stood.get(card.dataset.key) !== now) moved.push(card.dataset.key);
    stood.set(card.dataset.key, now);
  }
  answer.moved(moved);
}

// A screen says by itself that it is silent: what the others say of it need not stand there as well.
function hideOwnBand() {
  for (const band of document.querySelectorAll('[data-of-screen]')) {
    band.hidden = band.dataset.ofScreen === document.body.dataset.screen;
  }
}

// After an answer the focus goes to the next alert, else to the study that was answered for.
function focusNext() {
  if (answeredAlert === 0 || document.querySelector('dialog[open]')) return;
  const own = document.querySelector(`[data-key="alert-${answeredAlert}"]`);
  if (own && own.querySelector('.ack')) return; // the box has not said it yet
  answeredAlert = 0;
  const next = document.querySelector('[data-cards] .ack') || (own && own.querySelector('a.open'));
  if (next) next.focus();
}

// An alarm is on all screens of the box before the lists below it are written anew, and before anybody says so.
const LISTS = ['landing', 'today'];
const ALARM_FIRST_MS = 120;
const lists = new Map();

function paintLists() {
  for (const [id, markup] of lists) if ($(id) && $(id).dataset.own === undefined) swap(id, markup);
  if (lists.size) paintAges(live.isQuiet() ? boxTime : '');
  lists.clear();
}

function paint(message) {
  for (const [id, markup] of Object.entries(message.parts)) {
    if (LISTS.includes(id)) lists.set(id, markup);
    else if ($(id)) swap(id, markup);
  }
  setTimeout(paintLists, ALARM_FIRST_MS);
  hideOwnBand();
  noteMoves();
  setAges('live', message.ages, message.ago_s);
  refresh.heard(live.lastEventSeen());
  document.title = message.title + ' - Bleedwatch, ' + document.body.dataset.name;
  alarms = message.alarms;
  for (const [alert, event] of [...quieted]) {
    if (!alarms.some((one) => one.alert === alert && one.event === event && one.sounds)) quieted.delete(alert);
  }
  document.body.classList.toggle('alarmed', alarms.some((one) => one.level === 'CRITICAL' && one.sounds));
  document.body.classList.add('live');
  paintAges('');
  chooseSound();
  sayAloud();
  focusNext();
  requestAnimationFrame(() => setTimeout(report, ALARM_FIRST_MS));
}

function alive(said) {
  boxTime = said.time;
  $('clock').textContent = said.time;
  $('clock').setAttribute('datetime', said.iso);
  if (lostSaid) {
    lostSaid = false;
    if ($('shout').textContent.startsWith('NO CONNECTION')) $('shout').textContent = '';
    $('said').textContent = 'Connected again.';
  }
}

function missed(said) {
  if (said.words) $('said').textContent = said.words;
}

// ---- what is watched

function watch() {
  const quiet = live.isQuiet();
  const lost = live.isLost();
  document.body.classList.toggle('stale', quiet);
  document.body.classList.toggle('lost', lost);
  $('life-age').textContent = Math.floor(live.silence_s()) + ' s';
  $('no-life').hidden = !quiet;
  $('no-life-age').textContent = counting(live.silence_s());
  $('asking').hidden = live.hasHeard() || lost || live.silence_s() < ASK_AFTER_S;
  $('lost').hidden = !lost || live.isResting();
  $('lost-age').textContent = counting(live.silence_s());
  if (quiet) $('lost-at').textContent = boxTime || $('lost-at').textContent;
  if (lost && !lostSaid) {
    lostSaid = true;
    $('shout').textContent = 'NO CONNECTION. This screen cannot see new alerts. Look at every head CT yourself.';
  }
  paintAges(quiet ? boxTime : '');
  answer.tick();
  chooseSound();
}

function watchSound() {
  sound.check();
  sound.keepSounding();
  const armed = sound.isArmed();
  if (armed && $('armed').hidden) {
    saySelf();
    report();
  }
  document.body.classList.toggle('armed', armed);
  $('armed').hidden = !armed;
  $('muted').hidden = armed;
  if (armed) silentSince = '';
  else silentSince = silentSince || boxTime;
  const since = silentSince ? ' since ' + silentSince : '';
  $('silent-words').textContent = 'The browser has not been allowed to play sound' + since + '.';
  $('silent').hidden = armed || !document.body.classList.contains('live');
}

// ---- keys, theme, dialogs

function changeTheme() {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === 'light' ? 'dark' : 'light';
  document.cookie = 'bleedwatch-theme=' + root.dataset.theme + '; Path=/; Max-Age=31536000; SameSite=Strict';
}

let pressedG = -Infinity;

function keyPressed(event) {
  if (event.target.matches('input:not([type="range"]), textarea, select') || event.ctrlKey || event.altKey || event.metaKey) return;
  if (document.querySelector('dialog[open]')) return;
  const key = event.key.toLowerCase();
  const afterG = event.timeStamp - pressedG < G_WITHIN_MS;
  pressedG = key === 'g' ? event.timeStamp : -Infinity;
  if (afterG && PAGES[key] && document.querySelector('.top nav')) location.assign(PAGES[key]);
  else if (key === 'a') {
    const button = document.querySelector('[data-cards] .ack') || document.querySelector('[data-action]');
    if (button) button.focus();
  } else if (key === 't') changeTheme();
  else if (key === '?') $('help').showModal();
}

async function armPressed() {
  const ok = await sound.arm();
  $('said').textContent = ok
    ? 'Test tone played. Sound is armed at this station.'
    : 'The browser did not let the sound start. Call the administrator.';
  watchSound();
  saySelf();
  chooseSound();
  report();
}

function answered(press, said) {
  $('said').textContent = said.message;
  if (press.action === 'acknowledge') answeredAlert = press.target;
  if (press.action === 'judge-study') refresh.soon(); // no event of an alert tells of it
  focusNext();
}

answer.start({
  page,
  quiet: (alert) => {
    const pressed = alarms.find((one) => one.alert === alert);
    if (pressed) quieted.set(alert, pressed.event);
    chooseSound();
  },
  answered,
  unanswered: (press) => {
    quieted.delete(press.target);
    chooseSound();
  },
});
document.addEventListener('keydown', keyPressed);
document.addEventListener('visibilitychange', () => {
  saySelf();
  report();
});
document.addEventListener('click', (event) => {
  if (event.target.closest('[data-arm]')) armPressed();
});
$('theme').addEventListener('click', changeTheme);
$('keys').addEventListener('click', () => $('help').showModal());
$('help-close').addEventListener('click', () => $('help').close());

const first = JSON.parse($('state').dataset.state);
live.seenEvent(first.event);
for (const id of ['bands', 'bar', 'elsewhere', 'stage', 'landing', 'today', 'tested']) if ($(id)) swap(id, $(id).innerHTML);
refresh.start(() => {
  noteMoves();
  paintAges(live.isQuiet() ? boxTime : '');
});
sound.tryWithoutPress();
live.listen({
  page,
  board: paint,
  alive,
  missed,
  rest: () => {
    $('rested').hidden = false;
    document.body.classList.add('stale');
    document.body.classList.remove('live');
  },
});
setInterval(watch, 250);
setInterval(watchSound, 1000);
setInterval(saySelf, 2000);
setInterval(report, 2000);
watchSound();
