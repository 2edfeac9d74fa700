// The only way in which this page makes elements. Every value becomes text or an attribute, never
// markup: labels come from devices and may say anything.

const ATTRIBUTE = /^(class|id|type|role|title|colspan|scope|width|height|tabindex|value|for|name|aria-[a-z]+|data-[a-z]+)$/;

/** Make an element. `attributes.text` is its text; `attributes.parts` are CSS custom properties. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = value;
    else if (name === "parts") setParts(made, value);
    else if (value === null || value === undefined || value === false) continue;
    else if (ATTRIBUTE.test(name)) made.setAttribute(name, String(value));
    else throw new Error(`attribute ${name} is not one that this page sets`);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Set CSS custom properties, e.g. {part: 0.5} as --part. */
export function setParts(element, parts) {
  for (const [name, value] of Object.entries(parts)) element.style.setProperty(`--${name}`, String(value));
}

/** Set a text where it changed, so that a selection or a screen reader is left in peace. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set an attribute where it changed; null removes it. */
export function mark(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/** Make `parent`'s children follow `items`: kept by key, made once, updated in place, in order. */
export function keyed(parent, items, keyOf, make, update) {
  const known = new Map();
  for (const child of [...parent.children]) known.set(child.dataset.key, child);
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = known.get(key);
    if (child) known.delete(key);
    else {
      child = make(item);
      child.dataset.key = key;
    }
    update(child, item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const left of known.values()) left.remove();
}

export const byId = (id) => document.getElementById(id);
