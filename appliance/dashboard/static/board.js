// The list of the day: narrowed, turned over, searched. What is typed is sent, and stands in no address.

import * as refresh from './refresh.js';

const place = document.getElementById('today');
const asked = { show: '', number: 1, words: '' };

function ask(change) {
  Object.assign(asked, change);
  place.dataset.own = ''; // from now on this page asks for its list itself
  refresh.from('/list', { page: window.bleedwatch.page, ...asked });
}

place.addEventListener('click', (event) => {
  const button = event.target.closest('[data-show], [data-number]');
  if (!button) return;
  if (button.dataset.show !== undefined) {
    document.getElementById('sought').value = '';
    ask({ show: button.dataset.show, number: 1, words: '' });
  } else {
    ask({ number: +button.dataset.number });
  }
});
place.addEventListener('submit', (event) => {
  event.preventDefault();
  ask({ show: '', number: 1, words: document.getElementById('sought').value.trim() });
});
// The cross of a search field empties it.
place.addEventListener('search', (event) => {
  if (!event.target.value && asked.words) ask({ words: '', number: 1 });
});
