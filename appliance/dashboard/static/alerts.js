// The page Alerts: filters and pages change the list without loading the page anew, so that the sound stays armed.

import * as refresh from './refresh.js';

const place = document.getElementById('alerts-filters');
const day = document.getElementById('from');
const shown = document.getElementById('alerts-show');
const saved = document.getElementById('alerts-export');

function follow() {
  const asked = new URLSearchParams(location.search);
  const chosen = asked.get('show') || 'all';
  day.value = asked.get('from') || '';
  shown.value = chosen;
  const kept = new URLSearchParams();
  if (chosen === 'open') kept.set('show', 'open');
  if (day.value) kept.set('from', day.value);
  saved.href = '/alerts/export' + (kept.size ? '?' + kept : '');
  refresh.from('/alerts/parts' + location.search);
}

function go(address) {
  if (address === location.pathname + location.search) return;
  history.pushState(null, '', address);
  follow();
}

document.addEventListener('click', (event) => {
  const link = event.target.closest('a[data-filter]');
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  go(link.getAttribute('href'));
});
day.addEventListener('change', () => {
  const asked = new URLSearchParams(location.search);
  asked.delete('page');
  if (day.value) asked.set('from', day.value);
  else asked.delete('from');
  go('/alerts' + (asked.size ? '?' + asked : ''));
});
addEventListener('popstate', follow);
place.dataset.ready = '';
