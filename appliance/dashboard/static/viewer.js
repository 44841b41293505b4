// The picture of a study: one slice at a time, its window, its heat map. Wheel, keys, buttons and the bar below all end in
// `show`. What stands beside a picture (number, height) is written together with it, never before it.

import * as layers from './layers.js';

const AHEAD = 10; // neighbours on either side that are fetched ahead
const WHEEL_STEP = 40; // of deltaY in pixels: a notch of a wheel has 100 or more, a pad sends many small ones
const WINDOWS = { brain: 'W 80 L 40', subdural: 'W 215 L 75', stroke: 'W 40 L 40', bone: 'W 2800 L 600' };
const NAMES = Object.keys(WINDOWS);

const $ = (id) => document.getElementById(id);
const canvas = $('view');
const range = $('slice');

let slices = []; // { id, z, place, heat }, foot first
let keySlice = 0;
let isKey = false;
let running = false;
let at = -1; // index of the slice that is wanted
let chosen = 0; // the slice that a person has gone to; 0: the page follows the key slice
let way = 1; // the direction in which it was last turned
let turned = 0; // what is left of a turn of the wheel
let windowName = 'brain';
let heatOn = true;
let inverted = false;
let painted = ''; // what the canvas shows

const grey = (slice, name) => '/picture/' + slice.id + '/' + name + '.png';
const warm = (slice) => '/picture/' + slice.id + '/heat.png?of=' + slice.heat;

// ---- painting

function sized() {
  const side = Math.max(128, Math.min(2048, Math.round($('ct').clientWidth * devicePixelRatio)));
  if (canvas.width !== side) canvas.width = canvas.height = side;
}

function draw(under, over) {
  sized();
  const side = canvas.width;
  const pen = canvas.getContext('2d', { alpha: false });
  pen.imageSmoothingQuality = 'high';
  pen.globalCompositeOperation = 'source-over';
  pen.drawImage(under.bitmap, 0, 0, side, side);
  if (inverted) {
    pen.globalCompositeOperation = 'difference';
    pen.fillStyle = '#fff';
    pen.fillRect(0, 0, side, side);
    pen.globalCompositeOperation = 'source-over';
  }
  if (over && over.bitmap) pen.drawImage(over.bitmap, 0, 0, side, side);
  canvas.hidden = false;
  for (const still of $('ct').querySelectorAll('img')) still.hidden = true; // what stood here before the script
}

function say(slice, number) {
  const key = isKey && slice.id === keySlice ? ' (key slice)' : '';
  const words = 'Slice ' + number + ' of ' + slices.length + (running ? ' so far' : '') + key;
  $('slice-words').textContent = words;
  $('slice-z').textContent = 'z ' + (slice.z < 0 ? '−' : '+') + Math.abs(slice.z).toFixed(1) + ' mm';
  $('window-words').textContent = WINDOWS[windowName];
  range.setAttribute('aria-valuetext', words);
  canvas.setAttribute('aria-label', words + ', ' + windowName + ' window' + (heatOn ? ', with the heat map' : '') + '. ' + holder().dataset.strip);
}

function sayGone(words) {
  $('gone').textContent = words;
  $('gone').hidden = !words;
}

function paint(slice, number, under, over) {
  sayGone(under.gone);
  if (!under.gone) draw(under, over);
  say(slice, number);
  painted = [slice.id, windowName, heatOn, inverted].join(' ');
  canvas.dataset.slice = slice.id;
  canvas.dataset.shows = painted;
}

function neighbours() {
  const near = [];
  for (let step = 1; step <= AHEAD; step += 1) near.push(slices[at + way * step], slices[at - way * step]);
  return near.filter(Boolean);
}

function fetchAhead() {
  const here = slices[at];
  const wanted = [];
  for (const slice of [here, ...neighbours()]) {
    wanted.push(grey(slice, windowName));
    if (heatOn && slice.heat) wanted.push(warm(slice));
  }
  for (const name of NAMES) if (name !== windowName) wanted.push(grey(here, name));
  layers.want(wanted);
}

async function update() {
  const slice = slices[at];
  if (!slice || holder().dataset.gone) return;
  const number = at + 1;
  const name = windowName;
  const over = heatOn && slice.heat ? warm(slice) : '';
  const nowUnder = layers.ready(grey(slice, name));
  const nowOver = over ? layers.ready(over) : null;
  if (nowUnder && (!over || nowOver)) {
    paint(slice, number, nowUnder, nowOver);
    fetchAhead();
    return;
  }
  const stillMeant = () => slices[at] === slice && windowName === name && over === (heatOn && slice.heat ? warm(slice) : '');
  try {
    const [under, upper] = await Promise.all([layers.get(grey(slice, name)), over ? layers.get(over) : null]);
    if (stillMeant()) paint(slice, number, under, upper);
  } catch {
    if (stillMeant()) sayGone('This picture did not come: the box does not answer.');
  }
  if (stillMeant()) fetchAhead();
}

// ---- where it stands

function show(index) {
  const next = Math.max(0, Math.min(slices.length - 1, index));
  if (next !== at) way = next > at ? 1 : -1;
  at = next;
  range.value = slices[at].place;
  update();
}

function go(index) {
  if (!slices.length) return;
  show(index);
  chosen = slices[at].id;
}

function indexOf(id) {
  return slices.findIndex((slice) => slice.id === id);
}

function nearest(place) {
  let best = 0;
  for (const [index, slice] of slices.entries()) {
    if (Math.abs(slice.place - place) < Math.abs(slices[best].place - place)) best = index;
  }
  return best;
}

// ---- what the server says: more slices while they land, another key slice

const holder = () => $('study-slices').querySelector('[data-slices]');

function take() {
  const said = holder();
  $('viewer').hidden = !said;
  if (!said) return;
  slices = JSON.parse(said.dataset.slices).map(([id, z, place, heat]) => ({ id, z, place, heat }));
  keySlice = +said.dataset.keySlice;
  isKey = said.dataset.isKey === 'yes';
  running = said.dataset.running === 'yes';
  range.max = said.dataset.places;
  const gone = Boolean(said.dataset.gone);
  for (const control of [range, ...$('tools').querySelectorAll('button')]) control.disabled = gone;
  if (gone) {
    sayGone(said.dataset.gone);
    canvas.hidden = true;
    return;
  }
  const back = chosen ? indexOf(chosen) : -1;
  show(back >= 0 ? back : Math.max(0, indexOf(keySlice)));
}

// ---- what a person does

function press(button, on) {
  button.setAttribute('aria-pressed', String(on));
}

function setWindow(name) {
  windowName = name;
  for (const button of $('tools').querySelectorAll('[data-window]')) press(button, button.dataset.window === name);
  update();
}

function toggleHeat() {
  heatOn = !heatOn;
  press($('heat'), heatOn);
  update();
}

function toggleInvert() {
  inverted = !inverted;
  press($('invert'), inverted);
  update();
}

function toKey() {
  go(Math.max(0, indexOf(keySlice)));
}

const KEYS = {
  ArrowDown: () => go(at + 1),
  ArrowUp: () => go(at - 1),
  Home: () => go(0),
  End: () => go(slices.length - 1),
  k: toKey,
  h: toggleHeat,
  i: toggleInvert,
};

function keyPressed(event) {
  const typing = event.target.matches('input:not([type="range"]), textarea, select');
  if (typing || event.ctrlKey || event.altKey || event.metaKey || document.querySelector('dialog[open]')) return;
  if (!slices.length || range.disabled) return;
  const act = KEYS[event.key] || KEYS[event.key.toLowerCase()];
  const name = /^[1-4]$/.test(event.key) ? NAMES[+event.key - 1] : '';
  if (!act && !name) return;
  if (event.key.length > 1) event.preventDefault(); // arrows would scroll the page or move the bar once more
  if (act) act();
  else setWindow(name);
}

function wheelTurned(event) {
  if (event.ctrlKey || !slices.length || range.disabled) return; // with Ctrl the browser enlarges the page
  event.preventDefault();
  turned += event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY : event.deltaY * WHEEL_STEP;
  if (Math.abs(turned) < WHEEL_STEP) return;
  const step = Math.sign(turned);
  turned = 0;
  go(at + step);
}

range.addEventListener('input', () => go(nearest(+range.value)));
$('ct').addEventListener('wheel', wheelTurned, { passive: false });
$('study-strip').addEventListener('wheel', wheelTurned, { passive: false });
$('tools').addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (button && button.dataset.window) setWindow(button.dataset.window);
});
$('heat').addEventListener('click', toggleHeat);
$('invert').addEventListener('click', toggleInvert);
$('key-slice').addEventListener('click', toKey);
document.addEventListener('keydown', keyPressed);
new ResizeObserver(() => painted && update()).observe($('ct'));
new MutationObserver(take).observe($('study-slices'), { childList: true, subtree: true, attributes: true });
take();
