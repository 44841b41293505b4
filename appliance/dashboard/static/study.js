// What the study page does beside the shared script: the picture, and what paper needs.

import './viewer.js';

// Paper shows engine, series and files, whether they were open or not.
let opened = [];
addEventListener('beforeprint', () => {
  opened = [...document.querySelectorAll('main details:not([open])')].filter((one) => one.id === 'study-record');
  for (const one of opened) one.open = true;
});
addEventListener('afterprint', () => {
  for (const one of opened) one.open = false;
});
