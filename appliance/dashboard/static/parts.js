// The server's fragments, swapped in where they changed. What did not change keeps its element, its focus and its place.

const shown = new WeakMap(); // element -> the markup it was made from

function keyed(parent) {
  return new Map([...parent.querySelectorAll(':scope > [data-key]')].map((one) => [one.dataset.key, one]));
}

function focusMark() {
  const held = document.activeElement;
  const target = held && held.dataset ? held.dataset.target : undefined;
  return target === undefined ? null : { action: held.dataset.action, target };
}

function giveFocusBack(mark) {
  if (!mark || (document.activeElement && document.activeElement !== document.body)) return;
  const again = document.querySelector('[data-action="' + mark.action + '"][data-target="' + mark.target + '"]');
  if (again) again.focus();
}

function keepPictures(old, fresh) {
  for (const image of fresh.querySelectorAll('img')) {
    const same = [...old.querySelectorAll('img')].find((one) => one.getAttribute('src') === image.getAttribute('src'));
    if (same) {
      same.alt = image.alt;
      image.replaceWith(same);
    }
  }
}

function swapChildren(parent, fresh) {
  const old = keyed(parent);
  const kept = [];
  for (const node of [...fresh.children]) {
    const markup = node.outerHTML;
    const before = node.dataset.key ? old.get(node.dataset.key) : undefined;
    if (before && shown.get(before) === markup) {
      kept.push(before);
      continue;
    }
    if (before) keepPictures(before, node);
    if (before && before.open && node.tagName === 'DETAILS') node.open = true;
    shown.set(node, markup);
    kept.push(node);
  }
  const same = kept.length === parent.children.length && kept.every((node, index) => node === parent.children[index]);
  if (!same) parent.replaceChildren(...kept);
}

export function swap(id, markup) {
  const place = document.getElementById(id);
  const mark = focusMark();
  const holder = document.createElement('template');
  holder.innerHTML = markup;
  const list = holder.content.querySelector(':scope > section.list');
  const oldList = place.querySelector(':scope > section.list');
  if (list && oldList) {
    const head = oldList.querySelector('.head');
    const freshHead = list.querySelector('.head');
    if (head.outerHTML !== freshHead.outerHTML) head.replaceWith(freshHead);
    swapChildren(oldList.querySelector('tbody'), list.querySelector('tbody'));
  } else {
    swapChildren(place, holder.content);
  }
  giveFocusBack(mark);
}
