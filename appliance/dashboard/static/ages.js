// Ages count on the browser's monotonic clock from an age that the box sent: a clock that jumps makes nothing look young.

const began = new Map(); // key -> performance.now() at which the thing began
const given = new Map(); // who said it (the live stream, the page's own parts) -> its keys

export function setAges(source, ages, ago_s) {
  const now = performance.now();
  for (const key of given.get(source) || []) began.delete(key);
  given.set(source, Object.keys(ages));
  for (const [key, seconds] of Object.entries(ages)) began.set(key, now - (seconds + ago_s) * 1000);
}

export function counting(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const minutes = Math.floor(whole / 60);
  const rest = String(whole % 60).padStart(2, '0');
  if (minutes < 60) return minutes + ':' + rest;
  return Math.floor(minutes / 60) + ':' + String(minutes % 60).padStart(2, '0') + ':' + rest;
}

function ago(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 2) return 'now';
  if (whole < 60) return whole + ' s';
  if (whole < 3600) return Math.floor(whole / 60) + ' min';
  return Math.floor(whole / 3600) + ' h ' + String(Math.floor((whole % 3600) / 60)).padStart(2, '0');
}

// What is left until something happens: "in 0:55", and "now" once it should have.
function left(seconds) {
  return seconds > 0 ? 'in ' + counting(Math.ceil(seconds)) : 'now';
}

function said(place, seconds, asOf) {
  if (place.dataset.style === 'down') return asOf ? place.dataset.at : left(-seconds);
  if (place.dataset.style === 'ago') return asOf ? '' : ago(seconds);
  return asOf ? 'as of ' + asOf : counting(seconds);
}

// While the box is silent its ages are not counted on: they say as of when they were true.
export function paintAges(asOf) {
  const now = performance.now();
  for (const place of document.querySelectorAll('[data-age]')) {
    const start = began.get(place.dataset.age);
    if (start === undefined) continue;
    const words = said(place, (now - start) / 1000, asOf);
    if (place.textContent !== words) place.textContent = words;
  }
}
