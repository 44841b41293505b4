// The server's fragments, laid over what stands. What did not change keeps its element: a press that is under way while a
// slice lands, the focus, a picture and a blinking beacon are not disturbed. Children that all have a data-key are told
// apart by it, so that a new row pushes the others down and is not painted over the first.

const shown = new WeakMap(); // element -> the markup it was last made from

function keyed(parent) {
  return new Map([...parent.querySelectorAll(':scope > [data-key]')].map((one) => [one.dataset.key, one]));
}

// A button stays itself only while it means the same.
function alike(old, fresh) {
  if (old.nodeName !== fresh.nodeName) return false;
  if (old.nodeType !== Node.ELEMENT_NODE) return true;
  const same = (name) => old.getAttribute(name) === fresh.getAttribute(name);
  return ['data-key', 'data-action', 'data-target', 'data-event', 'src'].every(same);
}

function morph(old, fresh) {
  for (const { name, value } of [...fresh.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== 'open') old.removeAttribute(name);
  const keys = [...fresh.children];
  if (keys.length && keys.every((one) => one.dataset.key)) {
    swapChildren(old, fresh);
    return;
  }
  const wanted = [...fresh.childNodes];
  wanted.forEach((node, index) => {
    const standing = old.childNodes[index];
    if (!standing) old.append(node);
    else if (!alike(standing, node)) standing.replaceWith(node);
    else if (node.nodeType === Node.ELEMENT_NODE) morph(standing, node);
    else if (standing.data !== node.data) standing.data = node.data;
  });
  while (old.childNodes.length > wanted.length) old.lastChild.remove();
}

function swapChildren(parent, fresh) {
  const old = keyed(parent);
  const kept = [...fresh.children].map((node) => {
    const markup = node.outerHTML;
    const before = old.get(node.dataset.key);
    const stays = before !== undefined && before.nodeName === node.nodeName ? before : node;
    if (stays !== node && shown.get(before) !== markup) morph(before, node);
    shown.set(stays, markup);
    return stays;
  });
  const same = kept.length === parent.children.length && kept.every((node, index) => node === parent.children[index]);
  if (!same) parent.replaceChildren(...kept);
}

export function swap(id, markup) {
  const place = document.getElementById(id);
  const focused = document.activeElement;
  const holder = document.createElement('template');
  holder.innerHTML = markup;
  // A card that stands elsewhere on this page already is left out here.
  if (place.dataset.but) holder.content.querySelector(`[data-key="${place.dataset.but}"]`)?.remove();
  swapChildren(place, holder.content);
  // Moving an element takes its focus.
  if (focused && focused.isConnected && document.activeElement !== focused) focused.focus();
}
